#include "runtime/engine/quality_card.h"

#include <fmt/format.h>

namespace nibble {
namespace {

constexpr const char* kSource = "nibble.card.source";
constexpr const char* kText = "nibble.card.text";
constexpr const char* kTextHash = "nibble.card.text_hash";
constexpr const char* kTokens = "nibble.card.tokens";
constexpr const char* kDivergence = "nibble.card.kl_divergence";
constexpr const char* kDivergenceError = "nibble.card.kl_divergence_error";
constexpr const char* kDivergenceMost = "nibble.card.kl_divergence_most";
constexpr const char* kSameTop = "nibble.card.same_top_token";
constexpr const char* kPerplexity = "nibble.card.perplexity";
constexpr const char* kSourcePerplexity = "nibble.card.source_perplexity";
constexpr const char* kTensorErrors = "nibble.card.tensor_errors";

}  // namespace

void set_card(GgufHeader& header, const QualityCard& card) {
  const ModelComparison& m = card.measured;
  header.set_string(kSource, card.source);
  header.set_string(kText, card.text_name);
  header.set_string(kTextHash, card.text_hash);
  header.set(kTokens, static_cast<uint32_t>(m.n_tokens));
  header.set(kDivergence, static_cast<float>(m.divergence));
  header.set(kDivergenceError, static_cast<float>(m.divergence_error));
  header.set(kDivergenceMost, static_cast<float>(m.divergence_most));
  header.set(kSameTop, static_cast<float>(m.same_top));
  header.set(kPerplexity, static_cast<float>(m.other_perplexity));
  header.set(kSourcePerplexity, static_cast<float>(m.perplexity));
  header.set_array<float>(kTensorErrors, card.tensor_errors);
}

std::optional<QualityCard> read_card(const Metadata& meta) {
  QualityCard card;
  const auto text = [&](const char* key, std::string& out) {
    const auto value = meta.get_string(key);
    out = value.value_or("");
    return value.has_value();
  };
  const auto number = [&](const char* key, double& out) {
    const auto value = meta.get_float(key);
    out = value.value_or(0);
    return value.has_value();
  };
  ModelComparison& m = card.measured;
  const auto tokens = meta.get_int(kTokens);
  const auto errors = meta.get_floats(kTensorErrors);
  const bool whole =
      text(kSource, card.source) && text(kText, card.text_name) &&
      text(kTextHash, card.text_hash) && tokens && number(kDivergence, m.divergence) &&
      number(kDivergenceError, m.divergence_error) && number(kDivergenceMost, m.divergence_most) &&
      number(kSameTop, m.same_top) && number(kPerplexity, m.other_perplexity) &&
      number(kSourcePerplexity, m.perplexity) && errors;
  if (!whole) return std::nullopt;
  m.n_tokens = *tokens;
  card.tensor_errors = *errors;
  return card;
}

std::string comparison_line(const ModelComparison& m) {
  return fmt::format(
      "KL divergence {:.5f} +/- {:.5f}, same top token {:.1f} %, perplexity {:.3f} -> {:.3f}",
      m.divergence, m.divergence_error, 100 * m.same_top, m.perplexity, m.other_perplexity);
}

}  // namespace nibble
