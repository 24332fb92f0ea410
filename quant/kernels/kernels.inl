#pragma once
// The kernels, written once over the primitives of a simd_<isa>.h, which the including file
// includes first. Everything has internal linkage: see isa.cmake for why.
//
//   pointwise.inl  exp, tanh, norm, rotation, gates, and the float rows' tails
//   act.inl        the inputs of products: int8 in panels of tokens, or floats
//   panel.inl      packed weights of any type -> codes and factors in registers
//   matmul.inl     packed weights x int8 inputs; matmul_float.inl: float weights x float inputs
//   together.inl   several tokens at once; included by the tables that can
//   bounds.inl     what part of an output head's weights says of its results
//   kv.inl         keys and values, to and from their slabs
//   attend.inl     attention over the pages of a sequence
//   peak.inl       the multipliers alone, as a bound for matmul
//   search.inl     the scales for which encoded weights lose least; search_super.inl: in blocks of
//                  256
#include "quant/kernels/attend.inl"
#include "quant/kernels/bounds.inl"
#include "quant/kernels/matmul.inl"
#include "quant/kernels/peak.inl"
#include "quant/kernels/pointwise.inl"
#include "quant/kernels/search_super.inl"
#include "quant/kernels/tables.h"

namespace nibble {
namespace {

template <class By = TokenByToken>
constexpr KernelTable make_table(const char* name, const char* description,
                                 bool (*supported)() noexcept, Proof proof) {
  return {
      .name = name,
      .description = description,
      .supported = supported,
      .proof = proof,
      .default_kv = KvType::q8,
      .takes_packed = true,
      .act_layout = act_layout,
      .act_bytes = act_bytes,
      .prepare_act = prepare_act,
      .matmul = matmul<By>,
      .head_bounds = head_bounds,
      .dequantize_row = dequantize_row,
      .search_row = search_row,
      .rms_norm = rms_norm,
      .layer_norm = layer_norm,
      .rope = rope,
      .glu = glu,
      .activate = activate,
      .add = add,
      .scale = scale,
      .softcap = softcap,
      .rotate = rotate,
      .store_key = store_key,
      .store_value = store_value,
      .attend = attend,
      .attend_scratch = attend_scratch,
      .attend_partial = attend_partial,
      .attend_merge = attend_merge,
      .int8_peak = int8_peak,
  };
}

}  // namespace
}  // namespace nibble
