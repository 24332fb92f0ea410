// The table of schemes, and what several of them share.
#include "runtime/convert/weight_schemes.h"

#include <algorithm>
#include <cstring>

#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "quant/block/half.h"
#include "quant/block/q4_0.h"
#include "quant/block/q5_0.h"
#include "quant/block/q8_0.h"
#include "quant/codec.h"

namespace nibble {
namespace {

constexpr WeightScheme kSchemes[] = {
    {"gptq", open_gptq}, {"awq", open_awq},     {"bitsandbytes", open_bitsandbytes},
    {"fp8", open_fp8},   {"mxfp4", open_mxfp4},
};

constexpr int64_t kBlock = 32;  // of Q4_0, Q5_0 and Q8_0

// 32 whole numbers of -8..7: number i in the low half of byte i, 16 + i in the high half.
void put_q4_0(uint16_t scale, const int8_t* whole, std::byte* to) {
  block::Q4_0 b;
  b.d = scale;
  for (int i = 0; i < 16; ++i) {
    b.qs[i] = static_cast<uint8_t>((whole[i] + 8) | (whole[i + 16] + 8) << 4);
  }
  std::memcpy(to, &b, sizeof b);
}

// -16..15: as above, the fifth bits apart.
void put_q5_0(uint16_t scale, const int8_t* whole, std::byte* to) {
  block::Q5_0 b;
  b.d = scale;
  uint32_t high = 0;
  for (int i = 0; i < 16; ++i) {
    const auto low = static_cast<uint32_t>(whole[i] + 16);
    const auto behind = static_cast<uint32_t>(whole[i + 16] + 16);
    b.qs[i] = static_cast<uint8_t>((low & 15) | (behind & 15) << 4);
    high |= (low >> 4) << i | (behind >> 4) << (i + 16);
  }
  std::memcpy(b.qh, &high, sizeof high);
  std::memcpy(to, &b, sizeof b);
}

void put_q8_0(uint16_t scale, const int8_t* whole, std::byte* to) {
  block::Q8_0 b;
  b.d = scale;
  std::memcpy(b.qs, whole, sizeof b.qs);
  std::memcpy(to, &b, sizeof b);
}

struct WholeType {
  DType type;
  int lowest;
  int highest;
  void (*put)(uint16_t scale, const int8_t* whole, std::byte* to);
};
constexpr WholeType kWholeTypes[] = {
    {DType::Q4_0, -8, 7, put_q4_0},
    {DType::Q5_0, -16, 15, put_q5_0},
    {DType::Q8_0, -128, 127, put_q8_0},
};

}  // namespace

const WeightScheme* find_scheme(const HfConfig& config) {
  const JsonValue quantization = config.find("quantization_config");
  if (!quantization.exists()) return nullptr;
  const std::string_view method = quantization.find("quant_method").text().value_or("");
  std::string known;
  for (const WeightScheme& scheme : kSchemes) {
    if (scheme.method == method) return &scheme;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", scheme.method);
  }
  config.refuse("quantization_config: quant_method", known, quoted(method));
}

std::span<const std::byte> checked_data(const FolderTensor& tensor, SafeType type,
                                        std::initializer_list<int64_t> shape) {
  const SafeTensor& t = *tensor.tensor;
  const bool fits = std::equal(t.shape.begin(), t.shape.end(), shape.begin(), shape.end(),
                               [](int64_t got, int64_t want) { return want < 0 || got == want; });
  if (t.type != type || !fits) {
    fail(ErrorCode::bad_file, "{}: tensor {}: expected {} [{}], got {} [{}]", tensor.file->path(),
         quoted(t.name), safe_type_info(type).name, fmt::join(shape, ", "),
         safe_type_info(t.type).name, fmt::join(t.shape, ", "));
  }
  return tensor.file->data(t);
}

WeightRows rows_of_wholes(WholeRows w) {
  WeightRows out;
  out.name = w.name;
  out.shape = {w.rows, w.cols};
  out.rows = w.rows;
  out.cols = w.cols;
  out.was_quantized = true;
  out.floats = [w](int64_t row, float* to) {
    int8_t whole[kBlock];
    for (int64_t first = 0; first < w.cols; first += kBlock) {
      const int64_t n = std::min(kBlock, w.cols - first);
      w.whole(row, first, n, whole);
      for (int64_t c = first; c < first + n; ++c) {
        const int64_t group = w.group_of ? w.group_of(c) : c / w.group;
        to[c] = block::half_to_float(w.scale(row, group)) * static_cast<float>(whole[c - first]);
      }
    }
  };
  const auto* type = std::find_if(
      std::begin(kWholeTypes), std::end(kWholeTypes),
      [&](const WholeType& t) { return t.lowest <= w.lowest && w.highest <= t.highest; });
  if (type == std::end(kWholeTypes) || w.group % kBlock != 0 || w.cols % kBlock != 0 ||
      w.group_of) {
    out.type = DType::F32;
    out.bytes = [floats = out.floats](int64_t row, void* to) {
      floats(row, static_cast<float*>(to));
    };
    return out;
  }
  out.type = type->type;
  out.bytes = [w = std::move(w), put = type->put, bytes = dtype_info(type->type).block_bytes](
                  int64_t row, void* to) {
    int8_t whole[kBlock];
    auto* at = static_cast<std::byte*>(to);
    for (int64_t c = 0; c < w.cols; c += kBlock, at += bytes) {
      w.whole(row, c, kBlock, whole);
      put(w.scale(row, c / w.group), whole, at);
    }
  };
  return out;
}

}  // namespace nibble
