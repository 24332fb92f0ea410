#include "tools/calibration.h"

#include <fmt/format.h>

#include "formats/io/error.h"
#include "runtime/engine/collect_imatrix.h"
#include "runtime/engine/quality_card.h"
#include "tools/calibration_text.h"
#include "tools/exit_code.h"
#include "tools/open_model.h"
#include "tools/output.h"
#include "tools/stats.h"
#include "tools/values.h"

namespace nibble {
namespace {

struct MethodRow {
  QuantizeMethod method;
  const char* name;
  const char* help;
};

// Figures: docs/decisions/0033-calibrated-encoding.md.
constexpr MethodRow kMethods[] = {
    {QuantizeMethod::search, "search", "each row for itself (default): seconds, loss 0.254"},
    {QuantizeMethod::gptq, "gptq",
     "columns make up for the errors of others: loss 0.137, 20 times the work or more"},
    {QuantizeMethod::awq, "awq", "columns that are used most scaled up: loss 0.168, minutes"},
    {QuantizeMethod::gptq_awq, "gptq+awq", "both, one after the other: loss 0.143, minutes"},
};

const char* name_of(QuantizeMethod method) {
  for (const MethodRow& row : kMethods) {
    if (row.method == method) return row.name;
  }
  return "";
}

QuantizeMethod method_value(std::string_view flag, std::string_view text) {
  std::string known;
  for (const MethodRow& row : kMethods) {
    if (text == row.name) return row.method;
    known += fmt::format(" {}", row.name);
  }
  usage_error(fmt::format("{}: expected a method, got '{}'", flag, text), "methods:" + known);
}

std::string_view without_end(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

void add_calibration_options(CommandLine& line, CalibrationOptions* o) {
  using Text = std::string_view;
  const OptionGroup group = OptionGroup::model;
  line.add({"--method", "NAME",
            "search, gptq, awq or gptq+awq: how matrices are encoded, see below", group,
            [=](Text flag, Text text) { o->method = method_value(flag, text); }});
  line.add({"--calibration", "FILE", "text for gptq and awq instead of the bundled one", group,
            [=](Text, Text text) { o->file = text; }});
  line.add(
      {"--calibration-chunks", "N", "read the first N chunks of 512 tokens, default 0: all", group,
       [=](Text flag, Text text) { o->n_chunks = int_value(flag, text, 0, int64_t{1} << 20); }});
}

std::string method_menu() {
  std::string out = "Methods (the file is an ordinary one of the same types and size):\n";
  for (const MethodRow& row : kMethods) out += fmt::format("  {:<8}  {}\n", row.name, row.help);
  return out +
         "Loss: KL divergence, SmolLM2-135M in Q4_0; with --imatrix and no method 0.149. In Q2_K "
         "that\nloses less than gptq. A run with --method starts anew after an interruption; "
         "--imatrix counts in it\nfor awq and for what is no layer's.\n";
}

std::string overlap_remark(std::string_view text, std::string_view what) {
  const std::string_view a = without_end(text);
  const std::string_view b = without_end(card_text());
  if (a.empty() || (a.find(b) == a.npos && b.find(a) == b.npos)) return {};
  return fmt::format(
      "{} is the one that the quality card is measured on: the card will flatter the file\n", what);
}

bool is_card_text(std::string_view hash) {
  return hash == hash_of_text(card_text()) || hash == hash_of_text(without_end(card_text()));
}

Calibration::Calibration(const TensorFile& in, QuantizePlan& plan,
                         const CalibrationOptions& options, int n_threads, const Terminal& terminal,
                         Interrupt& interrupt)
    : progress_(terminal, "Calibrating", "steps") {
  if (options.method == QuantizeMethod::search) {
    if (options.file.empty() && options.n_chunks == 0) return;
    usage_error("nibble quantize: expected a method that calibrates",
                "for example: --method gptq --calibration FILE");
  }
  const bool bundled = options.file.empty();
  const std::string text = bundled ? std::string(calibration_text()) : read_text_file(options.file);
  write_stderr(overlap_remark(text, "the calibration text"));
  LayerEncoderOptions how;
  how.method = options.method;
  how.text = text;
  how.most_chunks = options.n_chunks;
  how.n_threads = n_threads;
  how.cancel = &interrupt.token();
  how.on_progress = [this](int64_t done, int64_t total) {
    progress_.update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
    if (done == total) progress_.finish();
  };
  encoder_ = std::make_unique<LayerEncoder>(in, plan, how);
  plan.header.set_string("nibble.calibration.method", name_of(options.method));
  plan.header.set_string("nibble.calibration.text", bundled ? kCalibrationTextName : options.file);
  plan.header.set_string("nibble.calibration.text_hash", hash_of_text(text));
  plan.header.set("nibble.calibration.tokens", static_cast<uint32_t>(encoder_->n_tokens()));
  plan.file_bytes = plan.header.layout().file_bytes;
  write_stderr(fmt::format("calibrating on {} tokens, {} of memory\n", encoder_->n_tokens(),
                           format_bytes(encoder_->memory_bytes())));
}

}  // namespace nibble
