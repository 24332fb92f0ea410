#include "runtime/model/decoder.h"

#include <fmt/format.h>

#include <cmath>

namespace nibble {

ModelConfig read_decoder(const HParams& hp, NormKind norm) {
  ModelConfig config;
  const int64_t n_layer = hp.integer("block_count", 1, HParams::kMaxLayers);
  config.n_embd = hp.integer("embedding_length", 1, HParams::kMaxWidth);
  config.n_ctx_train = hp.integer("context_length", 1, HParams::kMaxContext);
  config.norm = norm;
  const bool rms = norm == NormKind::rms;
  config.norm_eps = static_cast<float>(hp.number(
      rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", 0.0, 1.0));
  config.logit_softcap = static_cast<float>(hp.number_or("final_logit_softcapping", 0.0, 0.0, 1e6));
  const std::vector<int64_t> n_head =
      hp.per_layer("attention.head_count", n_layer, 1, HParams::kMaxHeads);
  const std::vector<int64_t> n_head_kv =
      hp.has("attention.head_count_kv")
          ? hp.per_layer("attention.head_count_kv", n_layer, 1, HParams::kMaxHeads)
          : n_head;
  const std::vector<int64_t> n_ff =
      hp.per_layer("feed_forward_length", n_layer, 1, HParams::kMaxWidth);
  for (size_t i = 0; i < static_cast<size_t>(n_layer); ++i) {
    LayerSpec layer;
    layer.n_head = n_head[i];
    layer.n_head_kv = n_head_kv[i];
    const int64_t width_over_heads = config.n_embd / n_head[i];
    layer.head_dim_k =
        hp.integer_or("attention.key_length", width_over_heads, 1, HParams::kMaxHeadDim);
    layer.head_dim_v =
        hp.integer_or("attention.value_length", width_over_heads, 1, HParams::kMaxHeadDim);
    layer.n_ff = n_ff[i];
    const double usual = 1.0 / std::sqrt(static_cast<double>(layer.head_dim_k));
    layer.attn_scale = static_cast<float>(hp.number_or("attention.scale", usual, 0.0, 1e6));
    layer.attn_softcap = static_cast<float>(hp.number_or("attn_logit_softcapping", 0.0, 0.0, 1e6));
    config.layers.push_back(layer);
  }
  return config;
}

void add_rope(const HParams& hp, RopeKind kind, ModelConfig& config, int64_t n_rotated) {
  const int64_t head_dim = n_rotated > 0 ? n_rotated : config.layers[0].head_dim_k;
  config.ropes.push_back(hp.rope(kind, head_dim, config.n_ctx_train));
  for (LayerSpec& layer : config.layers) layer.rope = static_cast<int>(config.ropes.size()) - 1;
}

void add_window(const HParams& hp, ModelConfig& config) {
  const int64_t window = hp.integer_or("attention.sliding_window", 0, 0, HParams::kMaxContext);
  for (LayerSpec& layer : config.layers) layer.window = window;
}

void add_experts(const HParams& hp, ModelConfig& config, ExpertSpec spec) {
  constexpr int64_t kMostExperts = 1 << 14;
  spec.n = hp.integer("expert_count", 1, kMostExperts);
  spec.n_used = hp.integer("expert_used_count", 1, kMostExperts);
  for (LayerSpec& layer : config.layers) {
    spec.n_ff = hp.integer_or("expert_feed_forward_length", layer.n_ff, 1, HParams::kMaxWidth);
    layer.experts = spec;
  }
}

namespace {

int64_t head_dim_of(const HfConfig& config) {
  const int64_t n_embd = config.integer("hidden_size|n_embd", 1, HParams::kMaxWidth);
  const int64_t n_head = config.integer("num_attention_heads|n_head", 1, HParams::kMaxHeads);
  return config.integer_or("head_dim", n_embd / n_head, 1, HParams::kMaxHeadDim);
}

}  // namespace

void import_heads(const HfConfig& config, HfModel& model) {
  const int64_t n_head = config.integer("num_attention_heads|n_head", 1, HParams::kMaxHeads);
  model.set_whole("attention.head_count_kv",
                  config.integer_or("num_key_value_heads", n_head, 1, HParams::kMaxHeads));
  if (!config.has("head_dim")) return;
  model.set_whole("attention.key_length", head_dim_of(config));
  model.set_whole("attention.value_length", head_dim_of(config));
}

void import_feed_forward(const HfConfig& config, std::string_view keys, HfModel& model) {
  const int64_t n_embd = config.integer("hidden_size|n_embd", 1, HParams::kMaxWidth / 4);
  model.set_whole("feed_forward_length",
                  config.integer_or(keys, 4 * n_embd, 1, HParams::kMaxWidth));
}

void import_partial_rope(const HfConfig& config, double default_part, HfModel& model) {
  const int64_t head_dim = head_dim_of(config);
  const JsonValue inside = config.find("rope_parameters").find("partial_rotary_factor");
  const double part =
      inside.exists()
          ? config.number_in(config.find("rope_parameters"), "partial_rotary_factor", 0.0, 1.0)
          : config.number_or("partial_rotary_factor|rotary_pct", default_part, 0, 1);
  const auto dim = static_cast<int64_t>(part * static_cast<double>(head_dim));
  if (dim < 2 || dim % 2 != 0) {
    config.refuse("partial_rotary_factor", "an even number of rotated elements",
                  fmt::format("{} of {}", dim, head_dim));
  }
  model.set_whole("rope.dimension_count", dim);
  import_rope(config, "full_attention", 10000.0, dim, model, true);
}

void import_window(const HfConfig& config, HfModel& model) {
  if (!config.boolean_or("use_sliding_window", true) || !config.has("sliding_window")) return;
  model.set_whole("attention.sliding_window",
                  config.integer("sliding_window", 1, HParams::kMaxContext));
}

void import_experts(const HfConfig& config, HfModel& model) {
  constexpr int64_t kMostExperts = 1 << 14;
  if (config.integer_or("decoder_sparse_step", 1, 0, HParams::kMaxLayers) != 1 ||
      config.find("mlp_only_layers").size() != 0) {
    config.refuse("mlp_only_layers", "experts in every layer", "layers without");
  }
  model.set_whole("expert_count", config.integer("num_experts|num_local_experts", 1, kMostExperts));
  model.set_whole("expert_used_count", config.integer("num_experts_per_tok", 1, kMostExperts));
  model.set_whole("expert_feed_forward_length",
                  config.integer("moe_intermediate_size", 1, HParams::kMaxWidth));
}

void expect_alternating_window(const HfConfig& config) {
  int64_t layer = 0;
  for (auto i = config.find("layer_types").walk(); i.next(); ++layer) {
    if (i.value().text() == (layer % 2 == 0 ? "sliding_attention" : "full_attention")) continue;
    config.refuse("layer_types", "sliding_attention and full_attention in turn", "another order");
  }
}

void expect_flag(const HfConfig& config, std::string_view key, bool expected) {
  if (config.boolean_or(key, expected) == expected) return;
  config.refuse(key, expected ? "true" : "false", expected ? "false" : "true");
}

}  // namespace nibble
