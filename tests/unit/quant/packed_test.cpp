// The packed layout: what goes in comes out, and lies where quant/packed.h says.
#include "quant/packed.h"

#include "quant/stored_type.h"
#include "tests/support/catch.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/kernel_data.h"

using namespace nibble;
using namespace nibble::test;

TEST_CASE("ordered planes give back the file's bytes", "[packed]") {
  Rng rng(4);
  for (int64_t rows : {1, 15, 16, 17, 33}) {
    const int64_t cols = 96;
    const auto w = random_weights(rng, DType::Q8_0, rows, cols);
    const auto packed = pack(DType::Q8_0, w.data(), rows, cols, PackForm::ordered);
    const PackedLayout layout = packed_layout(DType::Q8_0, rows, cols, PackForm::ordered);
    CHECK(layout.bytes == packed_layout(DType::Q8_0, rows, cols).bytes);
    const int64_t stride = row_bytes(DType::Q8_0, cols);
    std::vector<uint8_t> back(w.size());
    for (int64_t g = 0; g < layout.groups; ++g) {
      unpack_group(DType::Q8_0, layout, g, packed.data(),
                   std::min(kGroupRows, rows - g * kGroupRows), stride,
                   back.data() + g * kGroupRows * stride);
    }
    CHECK(back == w);
  }
  CHECK(!is_packed(recipe_of(DType::Q4_0, PackForm::ordered)));
}

TEST_CASE("packing gives back the file's bytes", "[packed]") {
  Rng rng(1);
  int types = 0;
  for (DType type : all_dtypes()) {
    if (!is_packed(recipe_of(type))) {
      CHECK(is_float(type));
      continue;
    }
    ++types;
    for (int64_t rows : {1, 15, 16, 17, 33}) {
      for (int64_t cols : widths(type)) {
        const auto w = random_weights(rng, type, rows, cols);
        const auto packed = pack(type, w.data(), rows, cols);
        const PackedLayout layout = packed_layout(type, rows, cols);
        const int64_t stride = row_bytes(type, cols);
        std::vector<uint8_t> back(w.size());
        for (int64_t g = 0; g < layout.groups; ++g) {
          unpack_group(type, layout, g, packed.data(), std::min(kGroupRows, rows - g * kGroupRows),
                       stride, back.data() + g * kGroupRows * stride);
        }
        INFO(dtype_info(type).name << " " << rows << " x " << cols);
        CHECK(back == w);
      }
    }
  }
  CHECK(types == 14);
}

TEST_CASE("Q4_0's planes are where the layout says", "[packed]") {
  Rng rng(2);
  const int64_t rows = 20;
  const int64_t cols = 96;
  const auto w = random_weights(rng, DType::Q4_0, rows, cols);
  const auto packed = pack(DType::Q4_0, w.data(), rows, cols);
  const PackedLayout l = packed_layout(DType::Q4_0, rows, cols);
  CHECK(l.nibble == 0);
  CHECK(l.d == 2 * 3 * 256);
  CHECK(l.bytes == 2 * 3 * 256 + 192);
  std::vector<float> decoded(static_cast<size_t>(cols));
  for (int64_t r = 0; r < rows; ++r) {
    dequantize_row(DType::Q4_0, w.data() + r * row_bytes(DType::Q4_0, cols), cols, decoded.data());
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t step = c % 32 / 4;
      const int64_t block = r / 16 * 3 + c / 32;
      const uint8_t byte =
          packed[static_cast<size_t>(block * 256 + step % 4 * 64 + r % 16 * 4 + c % 4)];
      const int code = step < 4 ? byte & 15 : byte >> 4;
      uint16_t d = 0;
      std::memcpy(&d, packed.data() + l.d + block * 32 + r % 16 * 2, 2);
      CHECK(block::half_to_float(d) * static_cast<float>(code - 8) ==
            decoded[static_cast<size_t>(c)]);
    }
  }
}

TEST_CASE("rows that a group lacks are zero", "[packed]") {
  Rng rng(3);
  for (DType type : all_dtypes()) {
    if (!is_packed(recipe_of(type))) continue;
    const auto w = random_weights(rng, type, 3, 256);
    const auto packed = pack(type, w.data(), 3, 256);
    const PackedLayout l = packed_layout(type, 3, 256);
    for (int64_t u = 0; u < l.units; ++u) {
      for (int64_t r = 3; r < 16; ++r) {
        CHECK(packed[static_cast<size_t>(l.d + u * 32 + 2 * r)] == 0);
        CHECK(packed[static_cast<size_t>(l.d + u * 32 + 2 * r + 1)] == 0);
        if (l.m >= 0) CHECK(packed[static_cast<size_t>(l.m + u * 32 + 2 * r)] == 0);
      }
    }
  }
}

TEST_CASE("a packed row decodes as the file's row", "[packed]") {
  Rng rng(5);
  int count = 0;
  const PackedType* types = all_packed_types(&count);
  for (int i = 0; i < count; ++i) {
    const PackedType& t = types[i];
    INFO(t.name);
    const int64_t length = dtype_info(t.type).block_len;
    const int64_t cols = 3 * length;
    for (int64_t rows : {1, 15, 16, 17, 33}) {
      const auto w = random_weights(rng, t.type, rows, cols);
      const auto packed = pack(t.type, w.data(), rows, cols, t.form);
      const PackedLayout layout = packed_layout(t.type, rows, cols, t.form);
      std::vector<float> want(static_cast<size_t>(cols));
      std::vector<float> got(static_cast<size_t>(cols));
      for (int64_t r = 0; r < rows; ++r) {
        dequantize_row(t.type, w.data() + r * row_bytes(t.type, cols), cols, want.data());
        dequantize_packed(t.type, layout, packed.data(), r, 0, cols, got.data());
        CHECK(same_bits(got, want));
        // A part of the row, as long as it is whole blocks.
        std::vector<float> part(static_cast<size_t>(length));
        dequantize_packed(t.type, layout, packed.data(), r, length, length, part.data());
        CHECK(std::memcmp(part.data(), want.data() + length, part.size() * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("packed bytes of any kind are read within their bounds", "[packed]") {
  Rng rng(6);
  int count = 0;
  const PackedType* types = all_packed_types(&count);
  for (int i = 0; i < count; ++i) {
    const PackedType& t = types[i];
    const int64_t rows = 17;
    const int64_t cols = 2 * dtype_info(t.type).block_len;
    const PackedLayout layout = packed_layout(t.type, rows, cols, t.form);
    const GuardedBuffer packed(layout.bytes, Flush::end);
    for (int64_t at = 0; at < layout.bytes; ++at) {
      packed.data()[at] = static_cast<uint8_t>(rng());
    }
    const GuardedBuffer out(cols * static_cast<int64_t>(sizeof(float)), Flush::end);
    for (int64_t r = 0; r < rows; ++r) {
      dequantize_packed(t.type, layout, packed.data(), r, 0, cols, out.as<float>());
    }
    const GuardedBuffer back(row_bytes(t.type, cols), Flush::end);
    unpack_group(t.type, layout, 1, packed.data(), 1, row_bytes(t.type, cols), back.data());
  }
  SUCCEED("the guard pages saw it");
}
