// mpt: ALiBi, layer norms without biases, queries, keys and values cut to a range.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  for (LayerSpec& layer : config.layers) {
    layer.max_alibi_bias = static_cast<float>(hp.number("attention.max_alibi_bias", 1e-3, 1e3));
    layer.clamp_qkv = static_cast<float>(hp.number_or("attention.clamp_kqv", 0.0, 0.0, 1e6));
    layer.feed_forward = FeedForward::plain;
    layer.activation = Activation::gelu;
  }
  return config;
}

constexpr TensorName kTensors[] = {
    {Role::token_embd, "token_embd.weight", "wte.weight"},
    {Role::output_norm, "output_norm.weight", "norm_f.weight"},
    {Role::output, "output.weight", "lm_head.weight", false},
    {Role::attn_norm, "blk.{}.attn_norm.weight", "blocks.{}.norm_1.weight"},
    {Role::attn_qkv, "blk.{}.attn_qkv.weight", "blocks.{}.attn.Wqkv.weight"},
    {Role::attn_output, "blk.{}.attn_output.weight", "blocks.{}.attn.out_proj.weight"},
    {Role::ffn_norm, "blk.{}.ffn_norm.weight", "blocks.{}.norm_2.weight"},
    {Role::ffn_up, "blk.{}.ffn_up.weight", "blocks.{}.ffn.up_proj.weight"},
    {Role::ffn_down, "blk.{}.ffn_down.weight", "blocks.{}.ffn.down_proj.weight"},
};

constexpr std::string_view kClasses[] = {"MptForCausalLM", "MPTForCausalLM", "mpt"};
constexpr HfKey kKeys[] = {
    {"vocab_size", "vocab_size"},
    {"max_seq_len", "context_length"},
    {"d_model", "embedding_length"},
    {"n_layers", "block_count"},
    {"n_heads", "attention.head_count"},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", HfKey::Kind::real, 1e-5},
};

void import_more(const HfConfig& config, HfModel& model) {
  expect_flag(config, "no_bias", true);
  const JsonValue attn = config.find("attn_config");
  const auto expect_inside = [&](const char* key, bool expected) {
    if (attn.find(key).boolean().value_or(expected) == expected) return;
    config.refuse(std::string("attn_config: ") + key, expected ? "true" : "false",
                  expected ? "false" : "true");
  };
  expect_inside("alibi", true);
  expect_inside("qk_ln", false);
  expect_inside("prefix_lm", false);
  if (attn.find("softmax_scale").number()) {
    model.set_real("attention.scale", config.number_in(attn, "softmax_scale", 1e-6, 1e6));
  }
  if (attn.find("clip_qkv").number()) {
    model.set_real("attention.clamp_kqv", config.number_in(attn, "clip_qkv", 1e-6, 1e6));
  }
  model.set_real("attention.max_alibi_bias",
                 attn.find("alibi_bias_max").number()
                     ? config.number_in(attn, "alibi_bias_max", 1e-3, 1e3)
                     : 8.0);
  model.set_whole("feed_forward_length", config.integer_or("expansion_ratio", 4, 1, 64) *
                                             config.integer("d_model", 1, HParams::kMaxWidth / 64));
}

constexpr HfNames kHf = {kClasses, kKeys, import_more, true, {}, "transformer."};

}  // namespace

extern const Arch arch_mpt = {"mpt", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
