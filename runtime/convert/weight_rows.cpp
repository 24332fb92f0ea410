#include "runtime/convert/weight_rows.h"

#include <fmt/format.h>

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

WeightRows transposed_rows(const SafetensorsFile& file, const SafeTensor& tensor) {
  WeightRows out = float_rows(file, tensor);
  if (out.shape.size() != 2) {
    fail(ErrorCode::unsupported, "{}: expected two dimensions, got {}", out.name, out.shape.size());
  }
  const std::byte* data = file.data(tensor).data();  // [cols, rows] of the result
  const int64_t bytes = safe_type_info(tensor.type).bits / 8;
  std::swap(out.shape[0], out.shape[1]);
  std::swap(out.rows, out.cols);
  const int64_t rows = out.rows, cols = out.cols;
  const bool is_double = tensor.type == SafeType::f64;
  out.floats = [=, type = out.type](int64_t row, float* to) {
    for (int64_t c = 0; c < cols; ++c) {
      const std::byte* from = data + (c * rows + row) * bytes;
      if (is_double) {
        to[c] = static_cast<float>(load_le<double>(from));
      } else {
        dequantize_row(type, from, 1, to + c);
      }
    }
  };
  out.bytes = [=, floats = out.floats](int64_t row, void* to) {
    if (is_double) return floats(row, static_cast<float*>(to));
    for (int64_t c = 0; c < cols; ++c) {
      std::memcpy(static_cast<std::byte*>(to) + c * bytes, data + (c * rows + row) * bytes,
                  static_cast<size_t>(bytes));
    }
  };
  // A row's elements lie in all pages: they go back when the last row is written.
  const MappedFile* map = file.map();
  out.give_back = [map, offset = tensor.offset, rows, cols, bytes](int64_t first, int64_t n) {
    if (map == nullptr || first != 0 || n != rows) return;
    map->dont_need(offset, static_cast<uint64_t>(rows * cols * bytes));
  };
  return out;
}

WeightRows stacked_rows(std::vector<WeightRows> parts) {
  WeightRows out;
  const auto kept = std::make_shared<const std::vector<WeightRows>>(std::move(parts));
  const WeightRows& first = kept->front();
  const int64_t each = first.rows;
  const auto n = static_cast<int64_t>(kept->size());
  out.name = first.name + fmt::format(" and {} more", n - 1);
  out.shape = first.shape;
  out.shape.insert(out.shape.begin(), n);
  out.rows = n * each;
  out.cols = first.cols;
  out.type = first.type;
  out.was_quantized = first.was_quantized;
  const auto part = [kept, each](int64_t row) -> const WeightRows& {
    return (*kept)[static_cast<size_t>(row / each)];
  };
  out.bytes = [part, each](int64_t row, void* to) { part(row).bytes(row % each, to); };
  out.floats = [part, each](int64_t row, float* to) { part(row).floats(row % each, to); };
  out.give_back = [kept](int64_t begin, int64_t count) {
    for (const WeightRows& rows : *kept) {
      if (rows.give_back && begin == 0 && count > 0) rows.give_back(0, rows.rows);
    }
  };
  return out;
}

namespace {

/// Rows of one head of all.
int64_t rows_of_head(const WeightRows& rows, int64_t heads, int64_t n_keys) {
  if (rows.shape.size() != 2 || heads < 1 || rows.rows % heads != 0 ||
      rows.rows / heads <= n_keys) {
    fail(ErrorCode::bad_file, "{}: expected rows of {} heads of more than {}, got {}", rows.name,
         heads, n_keys, rows.rows);
  }
  return rows.rows / heads;
}

void give_back_all(const WeightRows& whole, WeightRows& part) {
  if (!whole.give_back) return;
  part.give_back = [back = whole.give_back, n = whole.rows, rows = part.rows](int64_t first,
                                                                              int64_t count) {
    if (first == 0 && count == rows) back(0, n);
  };
}

}  // namespace

WeightRows latent_keys(WeightRows whole, int64_t heads, int64_t n_keys) {
  const int64_t each = rows_of_head(whole, heads, n_keys), rank = whole.cols;
  WeightRows out;
  out.name = whole.name;
  out.shape = {heads, rank, n_keys};
  out.rows = heads * rank;
  out.cols = n_keys;
  const bool is_float =
      whole.type == DType::F32 || whole.type == DType::F16 || whole.type == DType::BF16;
  out.type = is_float ? whole.type : DType::F32;
  out.was_quantized = whole.was_quantized;
  out.floats = [read = whole.floats, each, rank, n_keys](int64_t row, float* to) {
    std::vector<float> from(static_cast<size_t>(rank));
    for (int64_t c = 0; c < n_keys; ++c) {
      read(row / rank * each + c, from.data());
      to[c] = from[static_cast<size_t>(row % rank)];
    }
  };
  out.bytes = [read = out.floats, type = out.type, n_keys](int64_t row, void* to) {
    std::vector<float> floats(static_cast<size_t>(n_keys));
    read(row, floats.data());
    quantize_row(type, floats.data(), n_keys, static_cast<std::byte*>(to));
  };
  give_back_all(whole, out);
  return out;
}

WeightRows latent_values(WeightRows whole, int64_t heads, int64_t n_keys) {
  const int64_t each = rows_of_head(whole, heads, n_keys), n_values = each - n_keys;
  WeightRows out = whole;
  out.shape = {heads, n_values, whole.cols};
  out.rows = heads * n_values;
  const auto source = [=](int64_t row) { return row / n_values * each + n_keys + row % n_values; };
  out.bytes = [source, read = whole.bytes](int64_t row, void* to) { read(source(row), to); };
  out.floats = [source, read = whole.floats](int64_t row, float* to) { read(source(row), to); };
  out.give_back = {};
  give_back_all(whole, out);
  return out;
}

WeightRows rows_behind(WeightRows rows, int64_t n) {
  if (n == 0) return rows;
  if (rows.shape.size() != 2 || rows.rows <= n) {
    fail(ErrorCode::bad_file, "{}: expected more than {} rows, got {}", rows.name, n, rows.rows);
  }
  rows.rows -= n;
  rows.shape[0] -= n;
  rows.bytes = [n, whole = rows.bytes](int64_t row, void* to) { whole(n + row, to); };
  rows.floats = [n, whole = rows.floats](int64_t row, float* to) { whole(n + row, to); };
  if (rows.give_back) {
    rows.give_back = [n, whole = rows.give_back](int64_t first, int64_t count) {
      whole(n + first, count);
    };
  }
  return rows;
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
