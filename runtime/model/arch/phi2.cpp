// phi2: attention and a plain feed-forward side by side behind one layer norm, a part of each head
// rotated, biases everywhere, the output head's too.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  add_rope(hp, RopeKind::halves, config);
  for (LayerSpec& layer : config.layers) {
    layer.parallel = true;
    layer.feed_forward = FeedForward::plain;
    layer.activation = Activation::gelu_tanh;
  }
  return config;
}

constexpr auto kTensors = joined(
    names(TensorName{Role::token_embd, "token_embd.weight", "model.embed_tokens.weight"},
          TensorName{Role::output_norm, "output_norm.weight", "model.final_layernorm.weight"},
          TensorName{Role::output, "output.weight", "lm_head.weight", false},
          TensorName{Role::output_norm_bias, "output_norm.bias", "model.final_layernorm.bias"},
          TensorName{Role::output_bias, "output.bias", "lm_head.bias"},
          TensorName{Role::attn_norm, "blk.{}.attn_norm.weight",
                     "model.layers.{}.input_layernorm.weight"},
          TensorName{Role::attn_norm_bias, "blk.{}.attn_norm.bias",
                     "model.layers.{}.input_layernorm.bias"},
          TensorName{Role::attn_qkv, "blk.{}.attn_qkv.weight", {}, false},
          TensorName{Role::attn_qkv_bias, "blk.{}.attn_qkv.bias", {}, false},
          TensorName{Role::attn_q, "blk.{}.attn_q.weight",
                     "model.layers.{}.self_attn.q_proj.weight", false},
          TensorName{Role::attn_k, "blk.{}.attn_k.weight",
                     "model.layers.{}.self_attn.k_proj.weight", false},
          TensorName{Role::attn_v, "blk.{}.attn_v.weight",
                     "model.layers.{}.self_attn.v_proj.weight", false},
          TensorName{Role::attn_output, "blk.{}.attn_output.weight",
                     "model.layers.{}.self_attn.dense.weight"},
          TensorName{Role::attn_q_bias, "blk.{}.attn_q.bias",
                     "model.layers.{}.self_attn.q_proj.bias", false},
          TensorName{Role::attn_k_bias, "blk.{}.attn_k.bias",
                     "model.layers.{}.self_attn.k_proj.bias", false},
          TensorName{Role::attn_v_bias, "blk.{}.attn_v.bias",
                     "model.layers.{}.self_attn.v_proj.bias", false},
          TensorName{Role::attn_output_bias, "blk.{}.attn_output.bias",
                     "model.layers.{}.self_attn.dense.bias"},
          TensorName{Role::ffn_up, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.fc1.weight"},
          TensorName{Role::ffn_up_bias, "blk.{}.ffn_up.bias", "model.layers.{}.mlp.fc1.bias"},
          TensorName{Role::ffn_down, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.fc2.weight"},
          TensorName{Role::ffn_down_bias, "blk.{}.ffn_down.bias", "model.layers.{}.mlp.fc2.bias"}));

constexpr std::string_view kClasses[] = {"PhiForCausalLM", "phi"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"gelu_new", "gelu_pytorch_tanh"});
  expect_flag(config, "qk_layernorm", false);
  import_heads(config, model);
  import_feed_forward(config, "intermediate_size", model);
  import_partial_rope(config, 0.5, model);
}

constexpr HfNames kHf = {kClasses, kLayerNormKeys, import_more, false, kRotaryTables};

}  // namespace

extern const Arch arch_phi2 = {"phi2", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
