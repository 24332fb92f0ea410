#include "tools/quantize_plan_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/control_filter.h"
#include "tools/stats.h"

namespace nibble {
namespace {

std::string type_name(uint32_t id) {
  const char* name = dtype_ecosystem_name(id);
  return name != nullptr ? name : std::to_string(id);
}

std::string shape_text(const TensorInfo& info) {
  std::string out;
  for (int i = 0; i < info.n_dims; ++i) {
    out += fmt::format("{}{}", i == 0 ? "" : " x ", info.shape[i]);
  }
  return out;
}

}  // namespace

std::string mix_menu() {
  std::string out =
      "Types (TYPE is a name in any case, or its number in the ecosystem):\n"
      "  name      number  bits/weight  loss\n";
  for (const QuantMix& mix : all_mixes()) {
    const std::string number = mix.only_nibble ? "-" : std::to_string(mix.file_type);
    const std::string bits =
        mix.bits_per_weight < 0 ? "" : fmt::format("{:.2f}", mix.bits_per_weight);
    const std::string loss = mix.loss < 0 ? "" : fmt::format("{:.4f}", mix.loss);
    const char* note = mix.only_nibble  ? " only nibble reads it"
                       : mix.of_experts ? " of experts, all else Q8_0"
                                        : "";
    std::string line =
        fmt::format("  {:<9} {:>6}  {:>11}  {:<8}{}", mix.name, number, bits, loss, note);
    while (line.back() == ' ') line.pop_back();
    out += line + "\n";
  }
  // That model has rows of 576, and F16 weights that were Q4_1 before.
  return out +
         "Measured on SmolLM2-135M; loss: mean KL divergence to F16 on 381 tokens. K types and "
         "IQ4_XS\n"
         "fall back to others there, so files of larger models are smaller; Q4_1 and Q5_1 lose "
         "more\n"
         "elsewhere.\n";
}

std::string plan_text(const QuantizePlan& plan, const QuantMix& mix) {
  std::string out;
  size_t width = 0;
  for (const PlannedTensor& t : plan.tensors) width = std::max(width, t.source.name.size());
  width = std::min<size_t>(width, 60);
  const size_t n = plan.tensors.size();
  const size_t digits = std::to_string(n).size();
  for (size_t i = 0; i < n; ++i) {
    const PlannedTensor& t = plan.tensors[i];
    const std::string types = t.changes()
                                  ? type_name(t.source.type_id) + " -> " + type_name(t.type_id)
                                  : type_name(t.type_id);
    out += fmt::format("[{:>{}}/{}] {:<{}}  {:<14} {:<14} {:>9}  {}\n", i + 1, digits, n,
                       one_line(t.source.name), width, shape_text(t.source), types,
                       format_bytes(static_cast<int64_t>(t.bytes)), t.why);
  }
  const auto bytes = [](uint64_t value) { return format_bytes(static_cast<int64_t>(value)); };
  out += fmt::format("{}: {} -> {}, {:.2f} bits per weight", mix.name, bytes(plan.source_bytes),
                     bytes(plan.bytes), plan.bits_per_weight());
  if (plan.n_fallbacks > 0) {
    out += fmt::format("; {} of {} tensors in another type because of their row length",
                       plan.n_fallbacks, n);
  }
  return out + "\n";
}

std::string quantize_progress_line(const QuantizeProgress& progress, double seconds) {
  const double share = progress.total == 0 ? 1.0
                                           : static_cast<double>(progress.done) /
                                                 static_cast<double>(progress.total);
  const size_t width = std::to_string(progress.n_tensors).size() + 1;
  std::string out = fmt::format("[{:>{}}/{:>{}}] {:3.0f} %", progress.tensor, width,
                                progress.n_tensors, width, 100 * share);
  if (seconds > 0) {
    out += fmt::format("  {:.0f} MB/s", static_cast<double>(progress.done) / 1e6 / seconds);
  }
  if (share > 0.02 && share < 1)
    out += fmt::format("  ETA {:.0f} s", seconds / share * (1 - share));
  return out;
}

}  // namespace nibble
