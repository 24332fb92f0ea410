// bitsandbytes. NF4 and FP4: 4-bit indices, the first of a byte in its high half, into 16 levels
// (quant_map), times the largest magnitude of blocks that run over the rows (absmax, itself
// perhaps 8 bits: nested). int8: numbers times the largest magnitude of their row / 127 (SCB).
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "quant/block/half.h"
#include "runtime/convert/weight_schemes.h"

namespace nibble {
namespace {

constexpr int64_t kNf4Block = 64;

FolderTensor required(const FolderTensors& tensors, const std::string& name) {
  const FolderTensor found = tensors(name);
  if (!found) fail(ErrorCode::bad_file, "tensor {}: expected one, got none", quoted(name));
  return found;
}

std::vector<float> floats_of(const FolderTensor& tensor, int64_t count) {
  const std::byte* data = checked_data(tensor, SafeType::f32, {count}).data();
  std::vector<float> out(static_cast<size_t>(count));
  for (size_t i = 0; i < out.size(); ++i) out[i] = load_le<float>(data + 4 * i);
  return out;
}

/// A matrix of 4-bit indices, decoded as far as memory allows: its scales.
struct FourBit {
  std::string name;
  int64_t rows = 0, cols = 0, block = 64;
  std::array<float, 16> levels = {};
  std::vector<float> scales;  // one a block
  const std::byte* codes = nullptr;

  int code(int64_t i) const noexcept {
    const auto byte = std::to_integer<int>(codes[i / 2]);
    return i % 2 == 0 ? byte >> 4 : byte & 15;
  }
};

// scale = code book[8-bit code] * scale of 256 codes + offset
std::vector<float> nested_scales(const FolderTensors& tensors, const std::string& name,
                                 const FolderTensor& absmax, int64_t count, JsonValue state,
                                 const HfConfig& config) {
  const auto block = static_cast<int64_t>(config.number_in(state, "nested_blocksize", 1, 1 << 20));
  const auto offset = static_cast<float>(config.number_in(state, "nested_offset", -1e9, 1e9));
  const auto book = floats_of(required(tensors, name + ".nested_quant_map"), 256);
  const auto outer =
      floats_of(required(tensors, name + ".nested_absmax"), (count + block - 1) / block);
  const std::byte* codes = checked_data(absmax, SafeType::u8, {count}).data();
  std::vector<float> out(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    out[static_cast<size_t>(i)] =
        book[std::to_integer<size_t>(codes[i])] * outer[static_cast<size_t>(i / block)] + offset;
  }
  return out;
}

// "nf4" of 64 with scales that half precision holds: the type NF4, if this build has it.
const DTypeInfo* kept_type(const FourBit& m, std::string_view quant_type) {
  const DTypeInfo* nf4 = find_dtype("NF4");
  if (nf4 == nullptr || quant_type != "nf4" || m.block != kNf4Block || m.cols % kNf4Block != 0) {
    return nullptr;
  }
  for (const float scale : m.scales) {
    if (block::half_to_float(block::float_to_half(scale)) != scale) return nullptr;
  }
  return nf4;
}

// docs/format.md: the scale, then byte 16g + i with weights 32g + i (low) and 32g + 16 + i (high).
void put_nf4(const FourBit& m, int64_t row, std::byte* to) {
  for (int64_t first = row * m.cols; first < (row + 1) * m.cols; first += kNf4Block) {
    const uint16_t d = block::float_to_half(m.scales[static_cast<size_t>(first / kNf4Block)]);
    std::memcpy(to, &d, sizeof d);
    to += sizeof d;
    for (int64_t i = 0; i < kNf4Block / 2; ++i) {
      const int64_t at = first + i / 16 * 32 + i % 16;
      *to++ = static_cast<std::byte>(m.code(at) | m.code(at + 16) << 4);
    }
  }
}

WeightRows rows_of(std::shared_ptr<const FourBit> m, std::string_view quant_type) {
  WeightRows out;
  out.name = m->name;
  out.shape = {m->rows, m->cols};
  out.rows = m->rows;
  out.cols = m->cols;
  out.was_quantized = true;
  out.floats = [m](int64_t row, float* to) {
    for (int64_t c = 0; c < m->cols; ++c) {
      const int64_t i = row * m->cols + c;
      to[c] =
          m->scales[static_cast<size_t>(i / m->block)] * m->levels[static_cast<size_t>(m->code(i))];
    }
  };
  out.bytes = [read = out.floats](int64_t row, void* to) { read(row, static_cast<float*>(to)); };
  if (const DTypeInfo* nf4 = kept_type(*m, quant_type)) {
    out.type = nf4->type;
    out.bytes = [m](int64_t row, void* to) { put_nf4(*m, row, static_cast<std::byte*>(to)); };
  }
  return out;
}

WeightRows open_four_bit(const FolderTensors& tensors, const std::string& name,
                         const FolderTensor& weight, const FolderTensor& state_tensor,
                         const HfConfig& config) {
  const std::string where = weight.file->path() + ": tensor " + quoted(state_tensor.tensor->name);
  const JsonDocument document(as_text(checked_data(state_tensor, SafeType::u8, {-1})), where);
  const JsonValue state = document.root();
  const auto quant_type = state.find("quant_type").text().value_or("");
  auto m = std::make_shared<FourBit>();
  m->name = weight.file->path() + ": tensor " + quoted(name);
  int64_t shape[2] = {0, 0};
  auto i = state.find("shape").walk();
  for (int64_t& dim : shape) dim = i.next() ? i.value().integer().value_or(-1) : -1;
  m->block = static_cast<int64_t>(config.number_in(state, "blocksize", 1, 1 << 20));
  // Below 2^31 each, so that their product is no overflow.
  if (shape[0] < 1 || shape[1] < 1 || shape[0] >> 31 != 0 || shape[1] >> 31 != 0) {
    fail(ErrorCode::bad_file, "{}: shape: expected two numbers of elements", where);
  }
  m->rows = shape[0];
  m->cols = shape[1];
  const int64_t n = m->rows * m->cols;
  m->codes = checked_data(weight, SafeType::u8, {(n + 1) / 2, 1}).data();
  const auto levels = floats_of(required(tensors, name + ".quant_map"), 16);
  std::copy(levels.begin(), levels.end(), m->levels.begin());
  const FolderTensor absmax = required(tensors, name + ".absmax");
  const int64_t blocks = (n + m->block - 1) / m->block;
  m->scales = absmax.tensor->type == SafeType::u8
                  ? nested_scales(tensors, name, absmax, blocks, state, config)
                  : floats_of(absmax, blocks);
  return rows_of(std::move(m), quant_type);
}

WeightRows open_int8(const std::string& name, const FolderTensor& weight,
                     const FolderTensor& scale_tensor) {
  WeightRows out;
  out.name = weight.file->path() + ": tensor " + quoted(name);
  const std::byte* codes = checked_data(weight, SafeType::i8, {-1, -1}).data();
  out.shape = weight.tensor->shape;
  out.rows = out.shape[0];
  out.cols = out.shape[1];
  out.was_quantized = true;
  const auto scales = std::make_shared<const std::vector<float>>(floats_of(scale_tensor, out.rows));
  out.floats = [codes, scales, cols = out.cols](int64_t row, float* to) {
    constexpr float kUnit = 0.007874015718698502f;  // 1 / 127 as bitsandbytes has it
    const float scale = (*scales)[static_cast<size_t>(row)];
    for (int64_t c = 0; c < cols; ++c) {
      const auto code = static_cast<int8_t>(std::to_integer<uint8_t>(codes[row * cols + c]));
      to[c] = static_cast<float>(code) * scale * kUnit;
    }
  };
  out.bytes = [read = out.floats](int64_t row, void* to) { read(row, static_cast<float*>(to)); };
  return out;
}

}  // namespace

std::optional<WeightRows> open_bitsandbytes(const FolderTensors& tensors, const std::string& name,
                                            const HfConfig& config) {
  const FolderTensor weight = tensors(name);
  if (!weight) return std::nullopt;
  for (const char* kind : {"nf4", "fp4"}) {
    const FolderTensor state = tensors(name + ".quant_state.bitsandbytes__" + kind);
    if (state) return open_four_bit(tensors, name, weight, state, config);
  }
  const std::string base = name.substr(0, name.rfind('.'));
  if (const FolderTensor scales = tensors(base + ".SCB")) {
    (void)tensors(base + ".weight_format");
    return open_int8(name, weight, scales);
  }
  return std::nullopt;
}

}  // namespace nibble
