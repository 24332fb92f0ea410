// llama: Llama 1-3, SmolLM, Mistral, Mixtral and whatever else is pre-norm, grouped heads, SwiGLU.
// GGUF stores the query and key rows permuted, so that rotation pairs are adjacent.
#include "runtime/model/decoder.h"

namespace nibble {

namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  add_rope(hp, RopeKind::adjacent, config);
  config.ropes[0].freq_factors = true;  // where the file has rope_freqs.weight
  add_window(hp, config);
  if (hp.integer_or("expert_count", 0, 0, 1 << 14) > 0) add_experts(hp, config, {});
  return config;
}

// Llama's layers have a dense feed-forward, Mixtral's experts.
constexpr auto kTensors =
    joined(kEmbeddingNames, kNormNames, kRotatedAttentionNames,
           names(TensorName{Role::rope_freqs, "rope_freqs.weight", {}, false},
                 TensorName{Role::rope_short, "rope_factors_short.weight", {}, false},
                 TensorName{Role::rope_long, "rope_factors_long.weight", {}, false},
                 TensorName{Role::ffn_gate, "blk.{}.ffn_gate.weight",
                            "model.layers.{}.mlp.gate_proj.weight", false},
                 TensorName{Role::ffn_up, "blk.{}.ffn_up.weight",
                            "model.layers.{}.mlp.up_proj.weight", false},
                 TensorName{Role::ffn_down, "blk.{}.ffn_down.weight",
                            "model.layers.{}.mlp.down_proj.weight", false},
                 TensorName{Role::ffn_gate_bias, "blk.{}.ffn_gate.bias",
                            "model.layers.{}.mlp.gate_proj.bias", false},
                 TensorName{Role::ffn_up_bias, "blk.{}.ffn_up.bias",
                            "model.layers.{}.mlp.up_proj.bias", false},
                 TensorName{Role::ffn_down_bias, "blk.{}.ffn_down.bias",
                            "model.layers.{}.mlp.down_proj.bias", false},
                 TensorName{Role::router, "blk.{}.ffn_gate_inp.weight",
                            "model.layers.{}.block_sparse_moe.gate.weight", false},
                 TensorName{Role::experts_gate, "blk.{}.ffn_gate_exps.weight",
                            "model.layers.{}.block_sparse_moe.experts.{}.w1.weight", false},
                 TensorName{Role::experts_up, "blk.{}.ffn_up_exps.weight",
                            "model.layers.{}.block_sparse_moe.experts.{}.w3.weight", false},
                 TensorName{Role::experts_down, "blk.{}.ffn_down_exps.weight",
                            "model.layers.{}.block_sparse_moe.experts.{}.w2.weight", false}));

constexpr std::string_view kClasses[] = {"LlamaForCausalLM",
                                         "MistralForCausalLM",
                                         "MixtralForCausalLM",
                                         "LLaMAForCausalLM",
                                         "llama",
                                         "mistral",
                                         "mixtral"};
void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu", "swish"});
  import_heads(config, model);
  const int64_t n_embd = config.integer("hidden_size", 1, HParams::kMaxWidth);
  const int64_t n_head = config.integer("num_attention_heads", 1, HParams::kMaxHeads);
  const int64_t head_dim = config.integer_or("head_dim", n_embd / n_head, 1, HParams::kMaxHeadDim);
  model.set_whole("rope.dimension_count", head_dim);
  const std::string_view name =
      config.class_name().empty() ? config.model_type() : config.class_name();
  const bool mixtral = name.starts_with("Mixtral") || name == "mixtral";
  if (mixtral) {
    model.set_whole("expert_count", config.integer("num_local_experts", 1, 1 << 14));
    model.set_whole("expert_used_count", config.integer("num_experts_per_tok", 1, 1 << 14));
  }
  // Llama's class does not look at the key.
  if (mixtral || name.starts_with("Mistral") || name == "mistral") import_window(config, model);
  import_rope(config, "full_attention", 10000.0, head_dim, model);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, false, kRotaryTables};

}  // namespace

extern const Arch arch_llama = {"llama", read_config, kTensors, &kHf, shared_input::kGatedLayer};

}  // namespace nibble
