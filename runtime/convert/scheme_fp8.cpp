// FP8 as DeepSeek-V3 has it: weights of 8 bits, and a float for each block (128 x 128, or as
// config.json says) that multiplies them: weight_scale_inv. Where the scales are powers of two,
// BF16 holds the products exactly.
#include <cmath>
#include <cstring>

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "quant/block/half.h"
#include "runtime/convert/weight_schemes.h"

namespace nibble {
namespace {

/// Open Compute Project, "OCP 8-bit floating point specification" (2023): no infinity in E4M3.
float e4m3_to_float(uint8_t bits) noexcept {
  const int exponent = bits >> 3 & 15;
  const int mantissa = bits & 7;
  const float sign = (bits & 0x80) != 0 ? -1.0f : 1.0f;
  if ((bits & 0x7F) == 0x7F) return std::nanf("");
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -9);
  return sign * std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

float e5m2_to_float(uint8_t bits) noexcept {
  const int exponent = bits >> 2 & 31;
  const int mantissa = bits & 3;
  const float sign = (bits & 0x80) != 0 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa != 0 ? std::nanf("") : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -16);
  return sign * std::ldexp(static_cast<float>(4 + mantissa), exponent - 17);
}

struct Blocks {
  int64_t rows = 128;
  int64_t cols = 128;
};

Blocks read_blocks(const HfConfig& config) {
  Blocks out;
  const JsonValue size = config.find("quantization_config").find("weight_block_size");
  auto i = size.walk();
  for (int64_t* side : {&out.rows, &out.cols}) {
    if (!size.exists()) break;
    *side = i.next() ? i.value().integer().value_or(0) : 0;
    if (*side < 1 || *side > 1 << 20) {
      config.refuse("quantization_config: weight_block_size", "two sizes of a block", "another");
    }
  }
  return out;
}

bool is_power_of_two_float(float x) {
  int exponent = 0;
  // Far from the ends of the range, so that no product is subnormal or infinite.
  return std::frexp(x, &exponent) == 0.5f && exponent > -90 && exponent < 90;
}

}  // namespace

std::optional<WeightRows> open_fp8(const FolderTensors& tensors, const std::string& name,
                                   const HfConfig& config) {
  const FolderTensor scale_tensor = tensors(name + "_scale_inv");
  if (!scale_tensor) return std::nullopt;
  const FolderTensor weight = tensors(name);
  if (!weight) return std::nullopt;
  const SafeTensor& t = *weight.tensor;
  const bool short_range = t.type == SafeType::f8_e4m3;
  const std::byte* codes =
      checked_data(weight, short_range ? SafeType::f8_e4m3 : SafeType::f8_e5m2, {-1, -1}).data();
  const Blocks blocks = read_blocks(config);
  WeightRows out;
  out.name = weight.file->path() + ": tensor " + quoted(name);
  out.shape = t.shape;
  out.rows = t.shape[0];
  out.cols = t.shape[1];
  out.was_quantized = true;
  const int64_t across = (out.cols + blocks.cols - 1) / blocks.cols;
  const int64_t down = (out.rows + blocks.rows - 1) / blocks.rows;
  const std::byte* scales = checked_data(scale_tensor, SafeType::f32, {down, across}).data();
  bool exact = true;
  for (int64_t i = 0; i < across * down; ++i) {
    exact = exact && is_power_of_two_float(load_le<float>(scales + 4 * i));
  }
  const auto value = [=, cols = out.cols](int64_t row, int64_t c) {
    const auto bits = std::to_integer<uint8_t>(codes[row * cols + c]);
    const auto scale = load_le<float>(scales + 4 * (row / blocks.rows * across + c / blocks.cols));
    return (short_range ? e4m3_to_float(bits) : e5m2_to_float(bits)) * scale;
  };
  out.floats = [value, cols = out.cols](int64_t row, float* to) {
    for (int64_t c = 0; c < cols; ++c) to[c] = value(row, c);
  };
  out.bytes = [read = out.floats](int64_t row, void* to) { read(row, static_cast<float*>(to)); };
  if (exact) {
    out.type = DType::BF16;
    out.bytes = [value, cols = out.cols](int64_t row, void* to) {
      for (int64_t c = 0; c < cols; ++c) {
        const uint16_t upper = block::float_to_bfloat(value(row, c));
        std::memcpy(static_cast<std::byte*>(to) + 2 * c, &upper, sizeof upper);
      }
    };
  }
  return out;
}

}  // namespace nibble
