#include "runtime/convert/weight_schemes.h"

#include "formats/io/quote.h"

namespace nibble {

const WeightScheme* find_scheme(const HfConfig& config) {
  const JsonValue quantization = config.find("quantization_config");
  if (!quantization.exists()) return nullptr;
  const std::string_view method = quantization.find("quant_method").text().value_or("");
  config.refuse("quantization_config: quant_method", "none", quoted(method));
}

}  // namespace nibble
