// qwen2: Llama's shape with biases of queries, keys and values.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  add_rope(hp, RopeKind::halves, config);
  return config;
}

constexpr auto kTensors =
    joined(kEmbeddingNames, kNormNames, kAttentionNames, kAttentionBiasNames, kGatedNames);

constexpr std::string_view kClasses[] = {"Qwen2ForCausalLM", "qwen2"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu"});
  expect_flag(config, "use_sliding_window", false);
  import_heads(config, model);
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, false, kRotaryTables};

}  // namespace

extern const Arch arch_qwen2 = {"qwen2", read_config, kTensors, &kHf, shared_input::kGatedLayer};

}  // namespace nibble
