// MXFP4 as gpt-oss has it (Open Compute Project, "OCP Microscaling Formats (MX) specification",
// 2023): experts' matrices of 4-bit floats, NAME_blocks [experts, rows, cols / 32, 16], with the
// exponent of each 32, NAME_scales [experts, rows, cols / 32]. A byte holds two neighbours, the
// first in its low half; GGUF's block holds element i and i + 16 in a byte. Nothing else differs.
#include <cstring>

#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "quant/block/mxfp4.h"
#include "quant/codec.h"
#include "runtime/convert/weight_schemes.h"

namespace nibble {
namespace {

constexpr int64_t kBlock = 32;

/// codes [16] as in the checkpoint.
block::MXFP4 block_of(uint8_t exponent, const std::byte* codes) noexcept {
  uint8_t code[kBlock];
  for (int64_t i = 0; i < kBlock / 2; ++i) {
    const auto both = std::to_integer<uint8_t>(codes[i]);
    code[2 * i] = both & 15;
    code[2 * i + 1] = both >> 4;
  }
  block::MXFP4 out;
  out.e = exponent;
  for (int64_t i = 0; i < kBlock / 2; ++i) {
    out.qs[i] = static_cast<uint8_t>(code[i] | code[i + kBlock / 2] << 4);
  }
  return out;
}

}  // namespace

std::optional<WeightRows> open_mxfp4(const FolderTensors& tensors, const std::string& name,
                                     const HfConfig&) {
  const FolderTensor blocks = tensors(name + "_blocks");
  if (!blocks) return std::nullopt;
  const FolderTensor scales = tensors(name + "_scales");
  if (!scales) {
    fail(ErrorCode::bad_file, "{}: tensor {}: expected one beside {}, got none",
         blocks.file->path(), quoted(name + "_scales"), quoted(name + "_blocks"));
  }
  const std::byte* codes = checked_data(blocks, SafeType::u8, {-1, -1, -1, kBlock / 2}).data();
  const std::vector<int64_t>& shape = blocks.tensor->shape;
  const std::byte* exponents =
      checked_data(scales, SafeType::u8, {shape[0], shape[1], shape[2]}).data();
  WeightRows out;
  out.name = blocks.file->path() + ": tensor " + quoted(name);
  out.shape = {shape[0], shape[1], shape[2] * kBlock};
  out.rows = shape[0] * shape[1];
  out.cols = shape[2] * kBlock;
  out.type = DType::MXFP4;
  out.was_quantized = true;
  const int64_t n_blocks = shape[2];
  out.bytes = [=](int64_t row, void* to) {
    auto* at = static_cast<std::byte*>(to);
    for (int64_t b = row * n_blocks; b < (row + 1) * n_blocks; ++b, at += sizeof(block::MXFP4)) {
      const block::MXFP4 block =
          block_of(std::to_integer<uint8_t>(exponents[b]), codes + b * (kBlock / 2));
      std::memcpy(at, &block, sizeof block);
    }
  };
  out.floats = [=, cols = out.cols](int64_t row, float* to) {
    for (int64_t c = 0, b = row * n_blocks; c < cols; c += kBlock, ++b) {
      const block::MXFP4 block =
          block_of(std::to_integer<uint8_t>(exponents[b]), codes + b * (kBlock / 2));
      dequantize_row(DType::MXFP4, reinterpret_cast<const std::byte*>(&block), kBlock, to + c);
    }
  };
  return out;
}

}  // namespace nibble
