// gpt-oss: experts with biases and a clamped gate, attention sinks, biases in attention, and a
// sliding window in every other layer, the first one included. Positions are stretched by YaRN with
// a ramp that begins and ends between pairs; files have no key that says so.
#include <fmt/format.h>

#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  add_rope(hp, RopeKind::halves, config);
  config.ropes.back().whole_ramp = false;
  add_window(hp, config);
  add_experts(hp, config, {});
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerSpec& layer = config.layers[i];
    layer.activation = Activation::clamped_swish;
    if (i % 2 == 1) layer.window = 0;
  }
  return config;
}

constexpr HfTransform kGates = HfTransform::expert_gates;
constexpr HfTransform kUps = HfTransform::expert_ups;
constexpr auto kTensors = joined(
    kEmbeddingNames, kAttentionNames, kAttentionBiasNames,
    names(
        TensorName{Role::attn_norm, "blk.{}.attn_norm.weight",
                   "model.layers.{}.input_layernorm.weight"},
        TensorName{Role::ffn_norm, "blk.{}.post_attention_norm.weight",
                   "model.layers.{}.post_attention_layernorm.weight"},
        TensorName{Role::attn_sinks, "blk.{}.attn_sinks.weight", "model.layers.{}.self_attn.sinks"},
        TensorName{Role::router, "blk.{}.ffn_gate_inp.weight", "model.layers.{}.mlp.router.weight"},
        TensorName{Role::router_score_bias, "blk.{}.ffn_gate_inp.bias",
                   "model.layers.{}.mlp.router.bias"},
        TensorName{Role::experts_gate, "blk.{}.ffn_gate_exps.weight",
                   "model.layers.{}.mlp.experts.gate_up_proj", true, kGates},
        TensorName{Role::experts_up, "blk.{}.ffn_up_exps.weight",
                   "model.layers.{}.mlp.experts.gate_up_proj", true, kUps},
        TensorName{Role::experts_down, "blk.{}.ffn_down_exps.weight",
                   "model.layers.{}.mlp.experts.down_proj", true, HfTransform::expert_downs},
        TensorName{Role::experts_gate_bias, "blk.{}.ffn_gate_exps.bias",
                   "model.layers.{}.mlp.experts.gate_up_proj_bias", true, kGates},
        TensorName{Role::experts_up_bias, "blk.{}.ffn_up_exps.bias",
                   "model.layers.{}.mlp.experts.gate_up_proj_bias", true, kUps},
        TensorName{Role::experts_down_bias, "blk.{}.ffn_down_exps.bias",
                   "model.layers.{}.mlp.experts.down_proj_bias"}));

constexpr std::string_view kClasses[] = {"GptOssForCausalLM", "gpt_oss"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu"});
  expect_alternating_window(config);
  expect_flag(config, "attention_bias", true);
  for (const auto& [key, value] :
       {std::pair("swiglu_limit", 7.0), std::pair("swiglu_alpha", 1.702)}) {
    if (config.number_or(key, value, 0, 1e6) == value) continue;
    config.refuse(key, fmt::format("{}", value), "another");
  }
  import_heads(config, model);
  constexpr int64_t kMostExperts = 1 << 14;
  model.set_whole("expert_count", config.integer("num_local_experts", 1, kMostExperts));
  model.set_whole("expert_used_count", config.integer("num_experts_per_tok", 1, kMostExperts));
  model.set_whole("expert_feed_forward_length",
                  config.integer("intermediate_size", 1, HParams::kMaxWidth));
  model.set_whole("attention.sliding_window",
                  config.integer_or("sliding_window", 128, 1, HParams::kMaxContext));
  model.whole_ramp = false;
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, false, kRotaryTables};

}  // namespace

extern const Arch arch_gpt_oss = {"gpt-oss", read_config, kTensors, &kHf};

}  // namespace nibble
