#pragma once
// Toy models of quantized types, wide enough for blocks of 256, as files for the tests of packing.
// Their factors are small, so that the numbers inside stay far from the limits of half precision.
#include <string>

#include "tests/support/kernel_data.h"
#include "tests/support/toy_model.h"

namespace nibble::test {

/// type_of(name): the type of a matrix; F32 leaves it as toy_model has it.
template <class F>
std::string quantized_toy(F type_of, bool tied = true) {
  ToyShape shape;
  shape.n_embd = 256;
  shape.n_head = 4;
  shape.n_head_kv = 2;
  shape.head_dim = 64;
  shape.n_ff = 256;
  shape.n_layer = 1;
  shape.tied = tied;
  Rng rng(11);
  shape.matrix = [&](std::string_view name, int64_t rows, int64_t cols, uint32_t& type) {
    const DType t = type_of(name);
    type = static_cast<uint32_t>(t);
    if (t == DType::F32) return std::string();
    std::uniform_real_distribution<float> d(-0.001f, 0.001f);
    const std::vector<uint8_t> bytes =
        is_float(t)
            ? random_weights(rng, t, rows, cols)
            : random_weights(rng, t, rows, cols, [&] { return block::float_to_half(d(rng)); });
    return std::string(bytes.begin(), bytes.end());
  };
  return toy_model("llama", shape);
}

}  // namespace nibble::test
