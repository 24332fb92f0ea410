#pragma once
// What `nibble quantize --method` calibrates with: its options, the text, what the new file says of
// it, and the encoder.
#include <memory>
#include <string>

#include "runtime/convert/layer_encoder.h"
#include "tools/command_line.h"
#include "tools/interrupt.h"
#include "tools/progress.h"

namespace nibble {

struct CalibrationOptions {
  QuantizeMethod method = QuantizeMethod::search;
  std::string file;      // of the text; empty: the bundled one
  int64_t n_chunks = 0;  // 0: all
};

void add_calibration_options(CommandLine& line, CalibrationOptions* options);

/// What each method costs and gains, for --help.
std::string method_menu();

/// A remark if a text is the one that quality cards are measured on, or has it within, or the other
/// way round; else empty. what: "the calibration text".
std::string overlap_remark(std::string_view text, std::string_view what);

/// Is it the hash of that text, with or without its last newline?
bool is_card_text(std::string_view hash);

class Calibration {
 public:
  /// Nothing to do for QuantizeMethod::search. Adds nibble.calibration.* to the plan's header,
  /// which must outlive this, as must all else.
  Calibration(const TensorFile& in, QuantizePlan& plan, const CalibrationOptions& options,
              int n_threads, const Terminal& terminal, Interrupt& interrupt);

  /// nullptr: rows are encoded each for itself.
  LayerEncoder* encoder() const noexcept { return encoder_.get(); }

 private:
  Progress progress_;
  std::unique_ptr<LayerEncoder> encoder_;
};

}  // namespace nibble
