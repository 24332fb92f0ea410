// phi3: Llama's shape with queries, keys and values in one matrix, gate and up in another; long
// contexts by factors of each wave.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  add_rope(hp, RopeKind::halves, config);
  add_window(hp, config);
  for (LayerSpec& layer : config.layers) layer.feed_forward = FeedForward::gated_fused;
  return config;
}

constexpr auto kTensors = joined(
    kEmbeddingNames, kNormNames,
    names(
        TensorName{Role::rope_short, "rope_factors_short.weight", {}, false},
        TensorName{Role::rope_long, "rope_factors_long.weight", {}, false},
        TensorName{Role::attn_qkv, "blk.{}.attn_qkv.weight",
                   "model.layers.{}.self_attn.qkv_proj.weight"},
        TensorName{Role::attn_output, "blk.{}.attn_output.weight",
                   "model.layers.{}.self_attn.o_proj.weight"},
        TensorName{Role::ffn_up, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.gate_up_proj.weight"},
        TensorName{Role::ffn_down, "blk.{}.ffn_down.weight",
                   "model.layers.{}.mlp.down_proj.weight"}));

constexpr std::string_view kClasses[] = {"Phi3ForCausalLM", "phi3"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu"});
  import_heads(config, model);
  import_window(config, model);
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, false, kRotaryTables};

}  // namespace

extern const Arch arch_phi3 = {"phi3", read_config, kTensors, &kHf, shared_input::kAnyLayer};

}  // namespace nibble
