#include "runtime/convert/weight_rows.h"

#include <cstring>
#include <memory>

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "quant/codec.h"

namespace nibble {
namespace {

/// The type that keeps an element as it is; F64 has none here.
DType kept_type(const SafetensorsFile& file, const SafeTensor& tensor) {
  switch (tensor.type) {
    case SafeType::f64:
    case SafeType::f32:
      return DType::F32;
    case SafeType::f16:
      return DType::F16;
    case SafeType::bf16:
      return DType::BF16;
    default:
      fail(ErrorCode::unsupported, "{}: tensor {}: expected F64, F32, F16 or BF16, got {}",
           file.path(), quoted(tensor.name), safe_type_info(tensor.type).name);
  }
}

}  // namespace

WeightRows float_rows(const SafetensorsFile& file, const SafeTensor& tensor) {
  WeightRows out;
  out.name = file.path() + ": tensor " + quoted(tensor.name);
  out.shape = tensor.shape;
  if (tensor.shape.empty() || tensor.shape.size() > 2) {
    fail(ErrorCode::unsupported, "{}: expected one or two dimensions, got {}", out.name,
         tensor.shape.size());
  }
  out.rows = tensor.shape.size() == 2 ? tensor.shape[0] : 1;
  out.cols = tensor.shape.back();
  out.type = kept_type(file, tensor);
  const std::byte* data = file.data(tensor).data();  // [rows, cols]
  const auto stride =
      out.cols * static_cast<int64_t>(safe_type_info(tensor.type).bits / 8);  // bytes of a row
  const MappedFile* map = file.map();
  const uint64_t offset = tensor.offset;
  out.give_back = [map, offset, stride](int64_t first, int64_t n) {
    if (map == nullptr) return;
    map->dont_need(offset + static_cast<uint64_t>(first * stride),
                   static_cast<uint64_t>(n * stride));
  };
  if (tensor.type == SafeType::f64) {
    out.floats = [data, stride, cols = out.cols](int64_t row, float* to) {
      for (int64_t i = 0; i < cols; ++i) {
        to[i] = static_cast<float>(load_le<double>(data + row * stride + 8 * i));
      }
    };
    out.bytes = [floats = out.floats](int64_t row, void* to) {
      floats(row, static_cast<float*>(to));
    };
    return out;
  }
  out.bytes = [data, stride](int64_t row, void* to) {
    std::memcpy(to, data + row * stride, static_cast<size_t>(stride));
  };
  out.floats = [data, stride, type = out.type, cols = out.cols](int64_t row, float* to) {
    dequantize_row(type, data + row * stride, cols, to);
  };
  return out;
}

WeightRows memory_rows(std::string name, std::vector<float> floats, int64_t rows, int64_t cols) {
  WeightRows out;
  out.name = std::move(name);
  out.shape = rows == 1 ? std::vector<int64_t>{cols} : std::vector<int64_t>{rows, cols};
  out.rows = rows;
  out.cols = cols;
  auto kept = std::make_shared<const std::vector<float>>(std::move(floats));
  out.floats = [kept, cols](int64_t row, float* to) {
    std::memcpy(to, kept->data() + row * cols, static_cast<size_t>(cols) * sizeof(float));
  };
  out.bytes = [read = out.floats](int64_t row, void* to) { read(row, static_cast<float*>(to)); };
  return out;
}

}  // namespace nibble
