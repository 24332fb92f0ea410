#pragma once
// Dot products of codes and int8 inputs where bytes are multiplied to int16 sums of pairs, which
// are added as long as they cannot overflow before they are widened: for the instruction sets with
// PMADDUBSW, over their wide_broadcast32(), dot2_u8s8() and the like.

namespace nibble {
namespace {
namespace simd {

// How many dot2_u8s8 results with codes up to max_code fit into an int16 sum.
constexpr int chain_length(int max_code) {
  int chain = 1;
  while (chain < 8 && 2 * chain * 2 * 127 * max_code <= 32767) chain *= 2;
  return chain;
}

// kCount steps from kFirst on as int16 sums of pairs.
template <int kFirst, int kCount>
[[gnu::always_inline]] inline wi chain(const wi (&w)[8], const int8_t* a) {
  wi sum = dot2_u8s8(w[kFirst], wide_broadcast32(a + 4 * kFirst));
#pragma GCC unroll 8
  for (int j = kFirst + 1; j < kFirst + kCount; ++j) {
    sum = add16(sum, dot2_u8s8(w[j], wide_broadcast32(a + 4 * j)));
  }
  return sum;
}

[[gnu::always_inline]] inline wi wide_scales(const int8_t* p) {
  const wi x = wide_widen(p);
  return wide_pair(x, x);
}

template <int kMaxCode>
[[gnu::always_inline]] inline wi dot_codes(const wi (&w)[8], const int8_t* a) {
  constexpr int kChain = chain_length(kMaxCode);
  const wi ones = wide_every16<1>();
  if constexpr (kChain == 8) {
    return dot2_s16(add16(chain<0, 4>(w, a), chain<4, 4>(w, a)), ones);
  } else if constexpr (kChain == 4) {
    return add32(dot2_s16(chain<0, 4>(w, a), ones), dot2_s16(chain<4, 4>(w, a), ones));
  } else {
    static_assert(kChain == 2);
    return add32(add32(dot2_s16(chain<0, 2>(w, a), ones), dot2_s16(chain<2, 2>(w, a), ones)),
                 add32(dot2_s16(chain<4, 2>(w, a), ones), dot2_s16(chain<6, 2>(w, a), ones)));
  }
}

template <int kMaxCode>
[[gnu::always_inline]] inline wi dot_scaled(const wi (&w)[8], const int8_t* a, wi first,
                                            wi second) {
  if constexpr (chain_length(kMaxCode) >= 4) {
    return add32(dot2_s16(chain<0, 4>(w, a), first), dot2_s16(chain<4, 4>(w, a), second));
  } else {
    return add32(add32(dot2_s16(chain<0, 2>(w, a), first), dot2_s16(chain<2, 2>(w, a), first)),
                 add32(dot2_s16(chain<4, 2>(w, a), second), dot2_s16(chain<6, 2>(w, a), second)));
  }
}

struct SignedCodes {
  wi size[8];
  wi code[8];
};
[[gnu::always_inline]] inline SignedCodes signed_codes(const wi (&w)[8]) {
  SignedCodes s;
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    s.code[j] = w[j];
    s.size[j] = abs8(w[j]);
  }
  return s;
}
[[gnu::always_inline]] inline wi dot_signed(const SignedCodes& w, const int8_t* a, const int16_t*) {
  const wi ones = wide_every16<1>();
  wi sum[2] = {wide_zero(), wide_zero()};
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    const wi signed_a = apply_sign8(wide_broadcast32(a + 4 * j), w.code[j]);
    sum[j % 2] = add32(sum[j % 2], dot2_s16(dot2_u8s8(w.size[j], signed_a), ones));
  }
  return add32(sum[0], sum[1]);
}
[[gnu::always_inline]] inline wi dot_sums(wi pairs, const int16_t* sums) {
  return dot2_s16(pairs, wide_broadcast32(sums));
}

}  // namespace simd
}  // namespace
}  // namespace nibble
