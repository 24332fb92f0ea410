#pragma once
// THE list of tensor types. The tables of dtype.cpp and codec.cpp are generated from it, and the
// tests take their types from it.
//
// To add a type: its on-disk id in dtype.h's enum, block/<type>.h with
//   struct T { kType, kName, kLength, the fields };  static_assert on its size
//   to_float(const T&, float* out)       out [kLength], exact
//   from_float(const float* x, T&)       x [kLength]; only where encoding is supported
// and a search of its scales in kernels/search.inl, if it has scales,
// and one entry here. The tests then ask for the oracle's data: a row in
// tests/oracle/quant_data.py and a run of quant_fixture.py beside it.
#include "quant/block/bf16.h"
#include "quant/block/f16.h"
#include "quant/block/f32.h"
#include "quant/block/iq4_nl.h"
#include "quant/block/iq4_xs.h"
#include "quant/block/mxfp4.h"
#include "quant/block/nf4.h"
#include "quant/block/q2_k.h"
#include "quant/block/q3_k.h"
#include "quant/block/q4_0.h"
#include "quant/block/q4_1.h"
#include "quant/block/q4_k.h"
#include "quant/block/q5_0.h"
#include "quant/block/q5_1.h"
#include "quant/block/q5_k.h"
#include "quant/block/q6_k.h"
#include "quant/block/q8_0.h"

namespace nibble {

template <typename... Blocks>
struct TypeList {
  static constexpr int kSize = sizeof...(Blocks);
};

using AllTypes =
    TypeList<block::F32, block::F16, block::BF16, block::Q4_0, block::Q4_1, block::Q5_0,
             block::Q5_1, block::Q8_0, block::Q2_K, block::Q3_K, block::Q4_K, block::Q5_K,
             block::Q6_K, block::IQ4_NL, block::IQ4_XS, block::MXFP4, block::NF4>;

/// Calls f.operator()<Block>() for each type of the list, in order.
template <typename... Blocks, typename F>
constexpr void for_each_type(TypeList<Blocks...>, F&& f) {
  (f.template operator()<Blocks>(), ...);
}

}  // namespace nibble
