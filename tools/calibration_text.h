#pragma once
// The bundled text for quantizers that look at activations (runtime/convert/layer_encoder.h).
#include <string_view>

namespace nibble {

/// Public domain; 40 KB of prose and dialogue.
std::string_view calibration_text() noexcept;
inline constexpr const char* kCalibrationTextName =
    "The Federalist, numbers 1, 10 and 51; As You Like It, act 1 scene 1";

}  // namespace nibble
