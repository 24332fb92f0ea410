// granite: Llama's shape with factors for embeddings, scores, what blocks add, and logits.
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::rms);
  config.embed_scale = static_cast<float>(hp.number_or("embedding_scale", 1.0, 1e-6, 1e6));
  config.residual_scale = static_cast<float>(hp.number_or("residual_scale", 1.0, 1e-6, 1e6));
  config.logit_scale = static_cast<float>(1.0 / hp.number("logit_scale", 1e-6, 1e6));
  add_rope(hp, RopeKind::adjacent, config);
  return config;
}

constexpr auto kTensors = joined(kEmbeddingNames, kNormNames, kRotatedAttentionNames, kGatedNames);

constexpr std::string_view kClasses[] = {"GraniteForCausalLM", "granite"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"silu"});
  expect_flag(config, "mlp_bias", false);
  import_heads(config, model);
  for (const auto& [hf, gguf] : {std::pair("attention_multiplier", "attention.scale"),
                                 std::pair("embedding_multiplier", "embedding_scale"),
                                 std::pair("residual_multiplier", "residual_scale"),
                                 std::pair("logits_scaling", "logit_scale")}) {
    model.set_real(gguf, config.number_or(hf, 1.0, 1e-6, 1e6));
  }
  import_partial_rope(config, 1.0, model);
}

constexpr HfNames kHf = {kClasses, kRmsKeys, import_more, false, kRotaryTables};

}  // namespace

extern const Arch arch_granite = {"granite", read_config, kTensors, &kHf,
                                  shared_input::kGatedLayer};

}  // namespace nibble
