#include "runtime/convert/quant_mix.h"

#include <algorithm>
#include <array>

namespace nibble {
namespace {

using enum TensorPart;
using enum LayerSet;
using enum MixCondition;

// With eight experts the attention is a small part of the file.
constexpr MixRule kValuesOfExperts = {attn_v, all, eight_experts, DType::Q8_0};
constexpr MixRule kKeysOfExperts = {attn_k, all, eight_experts, DType::Q8_0};
constexpr MixRule kOutputsOfExperts = {attn_output, all, eight_experts, DType::Q5_K};
constexpr MixRule kHead = {output, all, always, DType::Q6_K};

constexpr MixRule kPlain[] = {kValuesOfExperts, kKeysOfExperts, kHead};
constexpr MixRule kQ8_0[] = {kValuesOfExperts, kKeysOfExperts};
constexpr MixRule kQ4_0[] = {kValuesOfExperts,
                             kKeysOfExperts,
                             kHead,
                             // An importance matrix misleads Q4_0 in the first of these.
                             {ffn_down, first_eighth, imatrix, DType::Q4_1}};
constexpr MixRule kQ5_0[] = {
    kValuesOfExperts, kKeysOfExperts, kHead, {ffn_down, first_eighth, imatrix, DType::Q5_1}};
constexpr MixRule kIq4[] = {kValuesOfExperts,
                            kKeysOfExperts,
                            kOutputsOfExperts,
                            kHead,
                            {attn_v, all, shared_values, DType::Q5_K},
                            {ffn_down, first_eighth, no_imatrix, DType::Q5_K}};
constexpr MixRule kQ2_K[] = {kValuesOfExperts,
                             kKeysOfExperts,
                             kOutputsOfExperts,
                             kHead,
                             {attn_v, all, eighty_layers, DType::Q5_K},
                             {attn_v, all, shared_values, DType::Q4_K},
                             {attn_v, all, always, DType::Q3_K},
                             {attn_output, all, always, DType::Q3_K},
                             {ffn_down, all, always, DType::Q3_K}};
constexpr MixRule kQ3_K_S[] = {kValuesOfExperts,
                               kKeysOfExperts,
                               kOutputsOfExperts,
                               kHead,
                               {attn_v, all, eighty_layers, DType::Q5_K}};
constexpr MixRule kQ3_K_M[] = {kValuesOfExperts,
                               kKeysOfExperts,
                               kOutputsOfExperts,
                               kHead,
                               {attn_v, first_two, always, DType::Q5_K},
                               {attn_v, all, eighty_layers, DType::Q5_K},
                               {attn_v, all, always, DType::Q4_K},
                               {attn_output, all, always, DType::Q4_K},
                               {ffn_down, first_sixteenth, always, DType::Q5_K},
                               {ffn_down, all, always, DType::Q4_K}};
constexpr MixRule kQ3_K_L[] = {kValuesOfExperts,
                               kKeysOfExperts,
                               kHead,
                               {attn_v, all, always, DType::Q5_K},
                               {attn_output, all, eight_experts, DType::Q3_K},
                               {attn_output, all, always, DType::Q5_K},
                               {ffn_down, all, always, DType::Q5_K}};
constexpr MixRule kQ4_K_S[] = {kValuesOfExperts,
                               kKeysOfExperts,
                               kOutputsOfExperts,
                               kHead,
                               {attn_v, first_four, always, DType::Q5_K},
                               {attn_v, all, eighty_layers, DType::Q5_K},
                               {ffn_down, first_eighth, always, DType::Q5_K}};
constexpr MixRule kQ4_K_M[] = {kValuesOfExperts,
                               kKeysOfExperts,
                               kOutputsOfExperts,
                               kHead,
                               {attn_v, spread, always, DType::Q6_K},
                               {attn_v, all, eighty_layers, DType::Q5_K},
                               {ffn_down, spread, always, DType::Q6_K}};
constexpr MixRule kQ5_K_M[] = {kValuesOfExperts,
                               kKeysOfExperts,
                               kHead,
                               {attn_v, spread, always, DType::Q6_K},
                               {ffn_down, spread, always, DType::Q6_K}};

constexpr double kUnknown = -1;

constexpr QuantMix kMixes[] = {
    {"Q2_K", DType::Q2_K, 10, kQ2_K, 5.14, 0.3346},
    {"Q3_K_S", DType::Q3_K, 11, kQ3_K_S, 5.14, kUnknown},
    {"Q3_K_M", DType::Q3_K, 12, kQ3_K_M, 5.46, 0.1094},
    {"Q3_K_L", DType::Q3_K, 13, kQ3_K_L, 5.69, kUnknown},
    {"MXFP4_MOE", DType::Q8_0, 38, {}, kUnknown, kUnknown, false, DType::MXFP4},
    {"Q4_0", DType::Q4_0, 2, kQ4_0, 5.35, 0.2461},
    {"NF4", DType::NF4, static_cast<uint32_t>(DType::NF4), kPlain, 5.15, 0.2265, true},
    {"Q4_1", DType::Q4_1, 3, kPlain, 5.74, 0.0009},
    {"IQ4_XS", DType::IQ4_XS, 30, kIq4, 5.32, 0.158},
    {"IQ4_NL", DType::IQ4_NL, 25, kIq4, 5.37, 0.157},
    {"Q4_K_S", DType::Q4_K, 14, kQ4_K_S, 5.96, 0.0452},
    {"Q4_K_M", DType::Q4_K, 15, kQ4_K_M, 6.17, 0.0403},
    {"Q5_0", DType::Q5_0, 8, kQ5_0, 6.14, 0.0657},
    {"Q5_1", DType::Q5_1, 9, kPlain, 6.53, kUnknown},
    {"Q5_K_S", DType::Q5_K, 16, kPlain, 6.43, 0.0025},
    {"Q5_K_M", DType::Q5_K, 17, kQ5_K_M, 6.56, 0.0045},
    {"Q6_K", DType::Q6_K, 18, kPlain, 8.12, 0.0052},
    {"Q8_0", DType::Q8_0, 7, kQ8_0, 8.51, 0.0018},
    {"BF16", DType::BF16, 32, {}, 16.00, kUnknown},
    {"F16", DType::F16, 1, {}, 16.00, 0.0},
    {"F32", DType::F32, 0, {}, 32.00, 0.0},
};

// The ecosystem's short names of medium mixes.
struct Alias {
  std::string_view name;
  std::string_view mix;
};
constexpr Alias kAliases[] = {{"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}};

// The nearest type in blocks of 32 that no row has to lose much by.
struct Fallback {
  DType from;
  DType to;
};
constexpr Fallback kFallbacks[] = {
    {DType::NF4, DType::Q4_0},  {DType::Q2_K, DType::Q4_0},     {DType::Q3_K, DType::Q4_0},
    {DType::Q4_K, DType::Q5_0}, {DType::IQ4_XS, DType::IQ4_NL}, {DType::Q5_K, DType::Q5_1},
    {DType::Q6_K, DType::Q8_0},
};

// Parts of names; the first that occurs says what a tensor is.
struct PartName {
  std::string_view text;
  TensorPart part;
};
constexpr PartName kPartNames[] = {
    {"attn_qkv.weight", attn_v}, {"attn_kv_b.weight", attn_v}, {"attn_v.weight", attn_v},
    {"attn_k.weight", attn_k},   {"attn_q.weight", attn_q},    {"attn_output.weight", attn_output},
    {"ffn_up", ffn_up},          {"ffn_gate", ffn_gate},       {"ffn_down", ffn_down},
};

// Small or sensitive tensors, by parts of their names: as the ecosystem's quantizers leave them.
constexpr std::string_view kKept[] = {
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "position_embd",
    "token_types.weight",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1",
    "time_mix_decay_w2",
    "time_mix_lerp_fused",
    "attn_rel_b.weight",
    "rope_freqs",
    "rope_factors",
};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool holds(MixCondition condition, const MixModel& model) {
  switch (condition) {
    case always:
      return true;
    case shared_values:
      return model.heads_per_value >= 4;
    case eighty_layers:
      return model.n_layer == 80 && model.heads_per_value > 1;
    case eight_experts:
      return model.n_expert == 8;
    case imatrix:
      return model.has_imatrix;
    case no_imatrix:
      return !model.has_imatrix;
  }
  return false;
}

bool is_in(LayerSet set, int64_t layer, int64_t n) {
  switch (set) {
    case all:
      return true;
    case first_two:
      return layer < 2;
    case first_four:
      return layer < 4;
    case first_eighth:
      return layer < n / 8;
    case first_sixteenth:
      return layer < n / 16;
    case spread:
      return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
  }
  return false;
}

}  // namespace

std::span<const QuantMix> all_mixes() noexcept {
  return kMixes;
}

const QuantMix* find_mix(std::string_view name) noexcept {
  for (const Alias& alias : kAliases) {
    if (same_name(alias.name, name)) name = alias.mix;
  }
  for (const QuantMix& mix : kMixes) {
    if (same_name(mix.name, name)) return &mix;
  }
  return nullptr;
}

const QuantMix* find_mix(uint32_t file_type) noexcept {
  for (const QuantMix& mix : kMixes) {
    if (mix.file_type == file_type && !mix.only_nibble) return &mix;
  }
  return nullptr;
}

TensorPart part_of(std::string_view name, const MixModel& model) noexcept {
  if (name == "output.weight") return output;
  if (name == "token_embd.weight") return model.tied ? output : embedding;
  if (name == "per_layer_token_embd.weight") return embedding;
  for (const PartName& row : kPartNames) {
    if (contains(name, row.text)) return row.part;
  }
  return other;
}

bool holds_experts(std::string_view name) noexcept {
  return name.ends_with("_exps.weight");
}

DType type_in_mix(const QuantMix& mix, const MixModel& model, TensorPart part, int64_t layer,
                  int64_t n_layers) noexcept {
  for (const MixRule& rule : mix.rules) {
    if (rule.part == part && holds(rule.condition, model) && is_in(rule.layers, layer, n_layers)) {
      return rule.type;
    }
  }
  return mix.base;
}

DType fallback_type(DType type, int64_t cols) noexcept {
  for (const Fallback& row : kFallbacks) {
    if (row.from == type && cols % dtype_info(row.to).block_len == 0) return row.to;
  }
  return DType::F16;
}

bool may_quantize(std::string_view name, int n_dims) noexcept {
  if (n_dims < 2 || !name.ends_with("weight")) return false;
  return std::none_of(std::begin(kKept), std::end(kKept),
                      [&](std::string_view part) { return contains(name, part); });
}

}  // namespace nibble
