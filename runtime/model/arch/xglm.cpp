// xglm: sinusoidal positions added to scaled embeddings, pre-norm blocks with biases, a plain
// feed-forward.
#include <cmath>

#include "runtime/model/decoder.h"

namespace nibble {
namespace {

constexpr double kNormEpsilon = 1e-5;  // the class has no key for it

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  config.sinusoidal = true;
  config.first_position = 2;
  config.embed_scale =
      static_cast<float>(hp.number_or("embedding_scale", 1.0, 0.0, HParams::kMaxWidth));
  for (LayerSpec& layer : config.layers) {
    layer.feed_forward = FeedForward::plain;
    layer.activation = Activation::gelu;
  }
  return config;
}

constexpr auto kTensors = joined(
    names(TensorName{Role::token_embd, "token_embd.weight", "model.embed_tokens.weight"},
          TensorName{Role::output_norm, "output_norm.weight", "model.layer_norm.weight"},
          TensorName{Role::output_norm_bias, "output_norm.bias", "model.layer_norm.bias"},
          TensorName{Role::output, "output.weight", "lm_head.weight", false}),
    names(
        TensorName{Role::attn_norm, "blk.{}.attn_norm.weight",
                   "model.layers.{}.self_attn_layer_norm.weight"},
        TensorName{Role::attn_norm_bias, "blk.{}.attn_norm.bias",
                   "model.layers.{}.self_attn_layer_norm.bias"},
        TensorName{Role::attn_q, "blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight"},
        TensorName{Role::attn_k, "blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight"},
        TensorName{Role::attn_v, "blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
        TensorName{Role::attn_output, "blk.{}.attn_output.weight",
                   "model.layers.{}.self_attn.out_proj.weight"},
        TensorName{Role::attn_q_bias, "blk.{}.attn_q.bias",
                   "model.layers.{}.self_attn.q_proj.bias"},
        TensorName{Role::attn_k_bias, "blk.{}.attn_k.bias",
                   "model.layers.{}.self_attn.k_proj.bias"},
        TensorName{Role::attn_v_bias, "blk.{}.attn_v.bias",
                   "model.layers.{}.self_attn.v_proj.bias"},
        TensorName{Role::attn_output_bias, "blk.{}.attn_output.bias",
                   "model.layers.{}.self_attn.out_proj.bias"}),
    names(TensorName{Role::ffn_norm, "blk.{}.ffn_norm.weight",
                     "model.layers.{}.final_layer_norm.weight"},
          TensorName{Role::ffn_norm_bias, "blk.{}.ffn_norm.bias",
                     "model.layers.{}.final_layer_norm.bias"},
          TensorName{Role::ffn_up, "blk.{}.ffn_up.weight", "model.layers.{}.fc1.weight"},
          TensorName{Role::ffn_up_bias, "blk.{}.ffn_up.bias", "model.layers.{}.fc1.bias"},
          TensorName{Role::ffn_down, "blk.{}.ffn_down.weight", "model.layers.{}.fc2.weight"},
          TensorName{Role::ffn_down_bias, "blk.{}.ffn_down.bias", "model.layers.{}.fc2.bias"}));

constexpr std::string_view kClasses[] = {"XGLMForCausalLM", "xglm"};

constexpr HfKey kKeys[] = {
    {"vocab_size", "vocab_size"},
    {"max_position_embeddings", "context_length", HfKey::Kind::whole, 2048},
    {"d_model", "embedding_length"},
    {"num_layers", "block_count"},
    {"ffn_dim", "feed_forward_length"},
    {"attention_heads", "attention.head_count"},
};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("activation_function", {"gelu"});
  model.set_real("attention.layer_norm_epsilon", kNormEpsilon);
  const auto width = static_cast<double>(config.integer("d_model", 1, HParams::kMaxWidth));
  const bool scaled = config.boolean_or("scale_embedding", true);
  model.set_real("embedding_scale", scaled ? std::sqrt(width) : 1.0);
}

// The table of positions that files of old have.
constexpr std::string_view kLeftOut[] = {"model.embed_positions."};

constexpr HfNames kHf = {kClasses, kKeys, import_more, true, kLeftOut};

}  // namespace

extern const Arch arch_xglm = {"xglm", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
