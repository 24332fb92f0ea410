// deepseek2: DeepSeek V2 and V3 (and R1). Latent attention; leading dense layers, then experts in
// groups beside one that all tokens go through. V2 routes by softmax and a group's best expert, V3
// by sigmoid, a bias for the choice and a group's two best.
#include <cmath>

#include "runtime/model/decoder.h"
#include "runtime/model/rope_freqs.h"

namespace nibble {
namespace {

constexpr int64_t kMostExperts = 1 << 14;
constexpr int64_t kSigmoid = 2;  // expert_gating_func
// The ecosystem's key holds a tenth of mscale_all_dim.
constexpr double kLogMultiplier = 10;

/// The scores grow with the scaled context, sine and cosine do not.
double scale_scores(const HParams& hp, RopeSpec& rope) {
  const double all = kLogMultiplier * hp.number_or("rope.scaling.yarn_log_multiplier", 0, 0, 1e6);
  if (rope.scaling != RopeScaling::yarn || all == 0) return 1;
  rope.magnitude = hp.number_or("rope.scaling.attn_factor", 1.0, 1e-6, 1e6);
  const double grown = yarn_magnitude(1 / rope.freq_scale, all);
  return grown * grown;
}

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  LatentSpec latent;
  latent.rank = hp.integer("attention.kv_lora_rank", 1, HParams::kMaxHeadDim / 2);
  latent.rank_q = hp.integer_or("attention.q_lora_rank", 0, 0, HParams::kMaxWidth);
  latent.n_rotated = hp.integer("rope.dimension_count", 2, HParams::kMaxHeadDim / 2);
  const int64_t head_dim =
      hp.integer("attention.key_length_mla", latent.n_rotated + 1, HParams::kMaxHeadDim);
  latent.n_plain = head_dim - latent.n_rotated;
  latent.dim_v = hp.integer("attention.value_length_mla", 1, HParams::kMaxHeadDim);
  add_rope(hp, RopeKind::adjacent, config);
  const double grown = scale_scores(hp, config.ropes[0]);
  ExpertSpec experts;
  experts.n_groups = hp.integer_or("expert_group_count", 1, 1, kMostExperts);
  experts.n_groups_used =
      hp.integer_or("expert_group_used_count", experts.n_groups, 1, experts.n_groups);
  experts.normalized = hp.boolean_or("expert_weights_norm", false);
  experts.scale = static_cast<float>(hp.number_or("expert_weights_scale", 1.0, 0.0, 1e6));
  if (hp.integer_or("expert_gating_func", 1, 1, kSigmoid) == kSigmoid) {
    experts.score = ExpertScore::sigmoid;
  }
  const int64_t n_shared = hp.integer_or("expert_shared_count", 0, 0, 64);
  experts.n_ff_shared =
      n_shared * hp.integer("expert_feed_forward_length", 1, HParams::kMaxWidth / 64);
  add_experts(hp, config, experts);
  const int64_t n_dense = hp.integer_or("leading_dense_block_count", 0, 0, HParams::kMaxLayers);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerSpec& layer = config.layers[i];
    layer.latent = latent;
    layer.n_head_kv = 1;
    layer.head_dim_k = latent.rank + latent.n_rotated;
    layer.head_dim_v = latent.rank;
    layer.attn_scale = static_cast<float>(grown / std::sqrt(static_cast<double>(head_dim)));
    if (static_cast<int64_t>(i) < n_dense) layer.experts = ExpertSpec();
  }
  return config;
}

constexpr TensorName optional_layer(Role role, std::string_view name, std::string_view hf) {
  return {role, name, hf, false};
}

constexpr auto kTensors = joined(
    kEmbeddingNames, kNormNames,
    names(
        optional_layer(Role::attn_q, "blk.{}.attn_q.weight",
                       "model.layers.{}.self_attn.q_proj.weight"),
        optional_layer(Role::attn_q_a, "blk.{}.attn_q_a.weight",
                       "model.layers.{}.self_attn.q_a_proj.weight"),
        optional_layer(Role::attn_q_a_norm, "blk.{}.attn_q_a_norm.weight",
                       "model.layers.{}.self_attn.q_a_layernorm.weight"),
        optional_layer(Role::attn_q_b, "blk.{}.attn_q_b.weight",
                       "model.layers.{}.self_attn.q_b_proj.weight"),
        TensorName{Role::attn_kv_a, "blk.{}.attn_kv_a_mqa.weight",
                   "model.layers.{}.self_attn.kv_a_proj_with_mqa.weight"},
        TensorName{Role::attn_kv_a_norm, "blk.{}.attn_kv_a_norm.weight",
                   "model.layers.{}.self_attn.kv_a_layernorm.weight"},
        TensorName{Role::attn_k_b, "blk.{}.attn_k_b.weight",
                   "model.layers.{}.self_attn.kv_b_proj.weight", true, HfTransform::latent_keys},
        TensorName{Role::attn_v_b, "blk.{}.attn_v_b.weight",
                   "model.layers.{}.self_attn.kv_b_proj.weight", true, HfTransform::latent_values},
        TensorName{Role::attn_output, "blk.{}.attn_output.weight",
                   "model.layers.{}.self_attn.o_proj.weight"},
        // Of the leading layers; of the others:
        optional_layer(Role::ffn_gate, "blk.{}.ffn_gate.weight",
                       "model.layers.{}.mlp.gate_proj.weight"),
        optional_layer(Role::ffn_up, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"),
        optional_layer(Role::ffn_down, "blk.{}.ffn_down.weight",
                       "model.layers.{}.mlp.down_proj.weight"),
        optional_layer(Role::router, "blk.{}.ffn_gate_inp.weight",
                       "model.layers.{}.mlp.gate.weight"),
        optional_layer(Role::router_bias, "blk.{}.exp_probs_b.bias",
                       "model.layers.{}.mlp.gate.e_score_correction_bias"),
        optional_layer(Role::experts_gate, "blk.{}.ffn_gate_exps.weight",
                       "model.layers.{}.mlp.experts.{}.gate_proj.weight"),
        optional_layer(Role::experts_up, "blk.{}.ffn_up_exps.weight",
                       "model.layers.{}.mlp.experts.{}.up_proj.weight"),
        optional_layer(Role::experts_down, "blk.{}.ffn_down_exps.weight",
                       "model.layers.{}.mlp.experts.{}.down_proj.weight"),
        optional_layer(Role::shared_gate, "blk.{}.ffn_gate_shexp.weight",
                       "model.layers.{}.mlp.shared_experts.gate_proj.weight"),
        optional_layer(Role::shared_up, "blk.{}.ffn_up_shexp.weight",
                       "model.layers.{}.mlp.shared_experts.up_proj.weight"),
        optional_layer(Role::shared_down, "blk.{}.ffn_down_shexp.weight",
                       "model.layers.{}.mlp.shared_experts.down_proj.weight")));

constexpr std::string_view kClasses[] = {"DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM",
                                         "deepseek_v2", "deepseek_v3"};

void import_routing(const HfConfig& config, bool v3, HfModel& model) {
  model.set_whole("expert_count", config.integer("n_routed_experts", 1, kMostExperts));
  model.set_whole("expert_used_count", config.integer("num_experts_per_tok", 1, kMostExperts));
  model.set_whole("expert_feed_forward_length",
                  config.integer("moe_intermediate_size", 1, HParams::kMaxWidth / 64));
  model.set_whole("expert_shared_count", config.integer_or("n_shared_experts", 0, 0, 64));
  model.set_real("expert_weights_scale", config.number_or("routed_scaling_factor", 1, 0, 1e6));
  model.set_whole("leading_dense_block_count",
                  config.integer_or("first_k_dense_replace", 0, 0, HParams::kMaxLayers));
  if (config.integer_or("moe_layer_freq", 1, 1, HParams::kMaxLayers) != 1) {
    config.refuse("moe_layer_freq", "1", "more");
  }
  if (v3) {
    config.expect_text("scoring_func", {"sigmoid"});
    config.expect_text("topk_method", {"noaux_tc"});
    model.set_whole("expert_gating_func", kSigmoid);
    model.set_flag("expert_weights_norm", config.boolean_or("norm_topk_prob", true));
  } else {
    config.expect_text("scoring_func", {"softmax"});
    config.expect_text("topk_method", {"greedy", "group_limited_greedy"});
    expect_flag(config, "norm_topk_prob", false);
    if (config.text_or("topk_method", "greedy") == "greedy") return;
  }
  const int64_t n_groups = config.integer_or("n_group", v3 ? 8 : 1, 1, kMostExperts);
  model.set_whole("expert_group_count", n_groups);
  model.set_whole("expert_group_used_count",
                  config.integer_or("topk_group", v3 ? 4 : 1, 1, n_groups));
}

void import_more(const HfConfig& config, HfModel& model) {
  const std::string_view name =
      config.class_name().empty() ? config.model_type() : config.class_name();
  config.expect_text("hidden_act", {"silu"});
  expect_flag(config, "attention_bias", false);
  expect_flag(config, "mlp_bias", false);
  expect_flag(config, "rope_interleave", true);
  // The norms of latents have an epsilon of their own that no file names.
  if (config.number("rms_norm_eps", 0, 1) != 1e-6) config.refuse("rms_norm_eps", "1e-6", "another");
  const int64_t rank = config.integer_or("kv_lora_rank", 512, 1, HParams::kMaxHeadDim / 2);
  const int64_t rotated = config.integer_or("qk_rope_head_dim", 64, 2, HParams::kMaxHeadDim / 2);
  const int64_t plain = config.integer_or("qk_nope_head_dim", 128, 1, HParams::kMaxHeadDim / 2);
  model.set_whole("attention.head_count_kv", 1);
  model.set_whole("attention.kv_lora_rank", rank);
  model.set_whole("attention.key_length", rank + rotated);
  model.set_whole("attention.value_length", rank);
  model.set_whole("attention.key_length_mla", plain + rotated);
  model.set_whole("attention.value_length_mla",
                  config.integer_or("v_head_dim", 128, 1, HParams::kMaxHeadDim));
  if (config.has("q_lora_rank")) {
    model.set_whole("attention.q_lora_rank", config.integer("q_lora_rank", 1, HParams::kMaxWidth));
  }
  model.set_whole("rope.dimension_count", rotated);
  import_routing(config, name.starts_with("DeepseekV3") || name == "deepseek_v3", model);
  model.yarn_scales_scores = true;
  import_rope(config, "full_attention", 10000.0, rotated, model);
  // Layers behind the last one guess tokens ahead; nothing runs them.
  model.n_layers_left_out = config.integer_or("num_nextn_predict_layers", 0, 0, 64);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, false, kRotaryTables};

}  // namespace

extern const Arch arch_deepseek2 = {"deepseek2", read_config, kTensors, &kHf};

}  // namespace nibble
