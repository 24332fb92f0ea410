#pragma once
// The texts of `nibble quantize`: the menu of types, the plan, the progress line.
#include <string>

#include "runtime/convert/quantize_file.h"

namespace nibble {

/// The table of mixes for --help.
std::string mix_menu();

/// A line for each tensor and one for the sum.
std::string plan_text(const QuantizePlan& plan, const QuantMix& mix);

/// "[ 42/ 272]  35 %  12 MB/s  ETA 8 s"
std::string quantize_progress_line(const QuantizeProgress& progress, double seconds);

}  // namespace nibble
