// gptj: attention and a plain feed-forward side by side behind one layer norm; the first elements
// of each head rotated in adjacent pairs; a bias of the output head.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  add_rope(hp, RopeKind::adjacent, config);
  for (LayerSpec& layer : config.layers) {
    layer.parallel = true;
    layer.feed_forward = FeedForward::plain;
    layer.activation = Activation::gelu_tanh;
  }
  return config;
}

constexpr TensorName kTensors[] = {
    {Role::token_embd, "token_embd.weight", "wte.weight"},
    {Role::output_norm, "output_norm.weight", "ln_f.weight"},
    {Role::output_norm_bias, "output_norm.bias", "ln_f.bias"},
    {Role::output, "output.weight", "lm_head.weight", false},
    {Role::output_bias, "output.bias", "lm_head.bias", false},
    {Role::attn_norm, "blk.{}.attn_norm.weight", "h.{}.ln_1.weight"},
    {Role::attn_norm_bias, "blk.{}.attn_norm.bias", "h.{}.ln_1.bias"},
    {Role::attn_q, "blk.{}.attn_q.weight", "h.{}.attn.q_proj.weight"},
    {Role::attn_k, "blk.{}.attn_k.weight", "h.{}.attn.k_proj.weight"},
    {Role::attn_v, "blk.{}.attn_v.weight", "h.{}.attn.v_proj.weight"},
    {Role::attn_output, "blk.{}.attn_output.weight", "h.{}.attn.out_proj.weight"},
    {Role::ffn_up, "blk.{}.ffn_up.weight", "h.{}.mlp.fc_in.weight"},
    {Role::ffn_up_bias, "blk.{}.ffn_up.bias", "h.{}.mlp.fc_in.bias"},
    {Role::ffn_down, "blk.{}.ffn_down.weight", "h.{}.mlp.fc_out.weight"},
    {Role::ffn_down_bias, "blk.{}.ffn_down.bias", "h.{}.mlp.fc_out.bias"},
};

constexpr std::string_view kClasses[] = {"GPTJForCausalLM", "gptj"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("activation_function", {"gelu_new", "gelu_pytorch_tanh"});
  import_feed_forward(config, "n_inner", model);
  model.set_whole("rope.dimension_count",
                  config.integer_or("rotary_dim", 64, 2, HParams::kMaxHeadDim));
}

constexpr std::string_view kLeftOut[] = {".attn.bias", ".attn.masked_bias"};

constexpr HfNames kHf = {kClasses, kLayerNormKeys, import_more, false, kLeftOut, "transformer."};

}  // namespace

extern const Arch arch_gptj = {"gptj", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
