#include "runtime/convert/expert_rows.h"

#include <cstring>

#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "quant/codec.h"

namespace nibble {

WeightRows expert_rows(const SafetensorsFile& file, const SafeTensor& tensor) {
  if (tensor.shape.size() != 3) {
    fail(ErrorCode::unsupported, "{}: tensor {}: expected three dimensions, got {}", file.path(),
         quoted(tensor.name), tensor.shape.size());
  }
  const int64_t n = tensor.shape[0], cols = tensor.shape[1], rows = tensor.shape[2];
  SafeTensor flat = tensor;
  flat.shape = {n * cols, rows};
  WeightRows out = float_rows(file, flat);
  if (tensor.type == SafeType::f64) {
    fail(ErrorCode::unsupported, "{}: expected F32, F16 or BF16, got F64", out.name);
  }
  const std::byte* data = file.data(tensor).data();  // [n, cols, rows]
  const int64_t bytes = safe_type_info(tensor.type).bits / 8;
  out.shape = {n, rows, cols};
  out.rows = n * rows;
  out.cols = cols;
  const auto at = [=](int64_t row, int64_t c) {
    return data + ((row / rows * cols + c) * rows + row % rows) * bytes;
  };
  out.floats = [at, cols, type = out.type](int64_t row, float* to) {
    for (int64_t c = 0; c < cols; ++c) dequantize_row(type, at(row, c), 1, to + c);
  };
  out.bytes = [at, cols, bytes](int64_t row, void* to) {
    for (int64_t c = 0; c < cols; ++c) {
      std::memcpy(static_cast<std::byte*>(to) + c * bytes, at(row, c), static_cast<size_t>(bytes));
    }
  };
  // An expert's rows lie in all of its pages: they go back with its last row.
  const MappedFile* map = file.map();
  const int64_t expert = cols * rows * bytes;
  out.give_back = [map, offset = tensor.offset, rows, expert](int64_t first, int64_t count) {
    if (map == nullptr) return;
    const int64_t begin = (first + rows - 1) / rows, end = (first + count) / rows;
    if (begin >= end) return;
    map->dont_need(offset + static_cast<uint64_t>(begin * expert),
                   static_cast<uint64_t>((end - begin) * expert));
  };
  return out;
}

namespace {

WeightRows every_second_element(WeightRows rows, int64_t first) {
  WeightRows out = rows;
  out.cols = rows.cols / 2;
  out.shape.back() = out.cols;
  out.type = DType::F32;
  out.floats = [read = rows.floats, first, cols = out.cols](int64_t row, float* to) {
    std::vector<float> all(static_cast<size_t>(2 * cols));
    read(row, all.data());
    for (int64_t c = 0; c < cols; ++c) to[c] = all[static_cast<size_t>(2 * c + first)];
  };
  out.bytes = [read = out.floats](int64_t row, void* to) { read(row, static_cast<float*>(to)); };
  return out;
}

}  // namespace

WeightRows every_second(WeightRows rows, int64_t first) {
  const bool vectors = rows.shape.size() == 2;
  const int64_t n = vectors ? rows.cols : rows.rows / rows.shape[0];
  if (n % 2 != 0) {
    fail(ErrorCode::bad_file, "{}: expected an even number of gates and ups, got {}", rows.name, n);
  }
  if (vectors) return every_second_element(std::move(rows), first);
  WeightRows out = rows;
  out.shape[1] /= 2;
  out.rows /= 2;
  out.bytes = [read = rows.bytes, first](int64_t row, void* to) { read(2 * row + first, to); };
  out.floats = [read = rows.floats, first](int64_t row, float* to) { read(2 * row + first, to); };
  // The other half of the rows is in the same pages, and read before or after these.
  if (rows.give_back) {
    out.give_back = [back = rows.give_back](int64_t at, int64_t count) { back(2 * at, 2 * count); };
  }
  return out;
}

}  // namespace nibble
