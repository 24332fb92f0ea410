// gemma3: norms before and after each block, query/key norms, GeGLU, embeddings scaled by
// sqrt(n_embd); five layers with a sliding window and local positions, then one that sees all.
// Norm weights in GGUF already contain the "1 +".
#include <fmt/format.h>

#include <cmath>

#include "runtime/model/arch.h"
#include "runtime/model/hf_config.h"

namespace nibble {

namespace {

constexpr int64_t kWindowPattern = 6;  // every sixth layer is global
constexpr double kLocalFreqBase = 10000.0;

ModelConfig read_config(const HParams& hp) {
  ModelConfig config;
  const int64_t n_layer = hp.integer("block_count", 1, HParams::kMaxLayers);
  config.n_embd = hp.integer("embedding_length", 1, HParams::kMaxWidth);
  config.n_ctx_train = hp.integer("context_length", 1, HParams::kMaxContext);
  config.norm_eps = static_cast<float>(hp.number("attention.layer_norm_rms_epsilon", 0.0, 1.0));
  config.embed_scale = static_cast<float>(std::sqrt(static_cast<double>(config.n_embd)));
  config.logit_softcap = static_cast<float>(hp.number_or("final_logit_softcapping", 0.0, 0.0, 1e6));
  const std::vector<int64_t> n_head =
      hp.per_layer("attention.head_count", n_layer, 1, HParams::kMaxHeads);
  const std::vector<int64_t> n_head_kv =
      hp.per_layer("attention.head_count_kv", n_layer, 1, HParams::kMaxHeads);
  const std::vector<int64_t> n_ff =
      hp.per_layer("feed_forward_length", n_layer, 1, HParams::kMaxWidth);
  const int64_t window = hp.integer_or("attention.sliding_window", 0, 0, HParams::kMaxContext);

  for (size_t i = 0; i < static_cast<size_t>(n_layer); ++i) {
    const bool local = window > 0 && (static_cast<int64_t>(i) + 1) % kWindowPattern != 0;
    LayerSpec layer;
    layer.n_head = n_head[i];
    layer.n_head_kv = n_head_kv[i];
    layer.head_dim_k =
        hp.integer_or("attention.key_length", config.n_embd / n_head[i], 1, HParams::kMaxHeadDim);
    layer.head_dim_v =
        hp.integer_or("attention.value_length", layer.head_dim_k, 1, HParams::kMaxHeadDim);
    layer.n_ff = n_ff[i];
    layer.window = local ? window : 0;
    layer.rope = local ? 1 : 0;
    // The 27B model divides by sqrt(n_embd / n_head), all others by sqrt(key_length); its 62 layers
    // are how the ecosystem's files tell it apart.
    const double divisor =
        n_layer == 62 ? static_cast<double>(config.n_embd) / static_cast<double>(layer.n_head)
                      : static_cast<double>(layer.head_dim_k);
    layer.attn_scale = static_cast<float>(1.0 / std::sqrt(divisor));
    layer.attn_softcap = static_cast<float>(hp.number_or("attn_logit_softcapping", 0.0, 0.0, 1e6));
    layer.norms = NormPlacement::both;
    layer.activation = Activation::gelu_tanh;
    config.layers.push_back(layer);
  }

  RopeSpec global = hp.rope(RopeKind::halves, config.layers[0].head_dim_k, config.n_ctx_train);
  if (!hp.has("rope.freq_base")) global.freq_base = 1e6;
  RopeSpec local = global;
  local.freq_base = hp.number_or("rope.freq_base_swa", kLocalFreqBase, 1.0, 1e12);
  local.freq_scale = 1.0;
  local.scaling = RopeScaling::linear;
  local.magnitude = 1.0;
  config.ropes = {global, local};
  return config;
}

constexpr TensorName kTensors[] = {
    {Role::token_embd, "token_embd.weight", "model.embed_tokens.weight"},
    {Role::output_norm, "output_norm.weight", "model.norm.weight", true, HfTransform::plus_one},
    {Role::output, "output.weight", "lm_head.weight", false},  // absent: tied to token_embd
    {Role::attn_norm, "blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight", true,
     HfTransform::plus_one},
    {Role::attn_q, "blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight"},
    {Role::attn_k, "blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight"},
    {Role::attn_v, "blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
    {Role::attn_q_norm, "blk.{}.attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight",
     true, HfTransform::plus_one},
    {Role::attn_k_norm, "blk.{}.attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight",
     true, HfTransform::plus_one},
    {Role::attn_output, "blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight"},
    {Role::attn_post_norm, "blk.{}.post_attention_norm.weight",
     "model.layers.{}.post_attention_layernorm.weight", true, HfTransform::plus_one},
    {Role::ffn_norm, "blk.{}.ffn_norm.weight", "model.layers.{}.pre_feedforward_layernorm.weight",
     true, HfTransform::plus_one},
    {Role::ffn_gate, "blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight"},
    {Role::ffn_up, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"},
    {Role::ffn_down, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"},
    {Role::ffn_post_norm, "blk.{}.post_ffw_norm.weight",
     "model.layers.{}.post_feedforward_layernorm.weight", true, HfTransform::plus_one},
};

constexpr std::string_view kClasses[] = {"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration",
                                         "gemma3_text", "gemma3"};
// Old files of the family leave out what is the same in all of it.
constexpr HfKey kKeys[] = {
    {"vocab_size", "vocab_size", HfKey::Kind::whole, 262208},
    {"max_position_embeddings", "context_length", HfKey::Kind::whole, 131072},
    {"hidden_size", "embedding_length"},
    {"num_hidden_layers", "block_count"},
    {"intermediate_size", "feed_forward_length"},
    {"num_attention_heads", "attention.head_count", HfKey::Kind::whole, 8},
    {"num_key_value_heads", "attention.head_count_kv", HfKey::Kind::whole, 4},
    {"head_dim", "attention.key_length", HfKey::Kind::whole, 256},
    {"head_dim", "attention.value_length", HfKey::Kind::whole, 256},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", HfKey::Kind::real, 1e-6},
};

// Which layers have a window is fixed in GGUF; config.json could say anything.
void check_layer_types(const HfConfig& config) {
  const int64_t pattern = config.integer_or(
      "sliding_window_pattern",
      config.integer_or("_sliding_window_pattern", kWindowPattern, 1, HParams::kMaxLayers), 1,
      HParams::kMaxLayers);
  const JsonValue types = config.find("layer_types");
  if (!types.exists() && pattern != kWindowPattern) {
    config.refuse("sliding_window_pattern", "6", std::to_string(pattern));
  }
  int64_t layer = 0;
  for (auto i = types.walk(); i.next();) {
    const bool local = ++layer % kWindowPattern != 0;
    if (i.value().text() == (local ? "sliding_attention" : "full_attention")) continue;
    config.refuse("layer_types", "five layers of sliding_attention, then one of full_attention",
                  "another order");
  }
}

double local_freq_base(const HfConfig& config) {
  const JsonValue own = config.find("rope_parameters").find("sliding_attention");
  if (!own.is(JsonType::object)) {
    return config.number_or("rope_local_base_freq", kLocalFreqBase, 1.0, 1e12);
  }
  const std::string_view type = own.find("rope_type").text().value_or("default");
  if (type != "default") config.refuse("rope_parameters: sliding_attention", "default", type);
  return config.number_in(own, "rope_theta", 1.0, 1e12);
}

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_activation", {"gelu_pytorch_tanh"});
  check_layer_types(config);
  if (config.boolean_or("use_bidirectional_attention", false)) {
    config.refuse("use_bidirectional_attention", "false", "true");
  }
  if (config.has("attn_logit_softcapping")) {
    model.set_real("attn_logit_softcapping", config.number("attn_logit_softcapping", 1e-6, 1e6));
  }
  if (config.has("final_logit_softcapping")) {
    model.set_real("final_logit_softcapping", config.number("final_logit_softcapping", 1e-6, 1e6));
  }
  const int64_t head_dim = config.integer_or("head_dim", 256, 1, HParams::kMaxHeadDim);
  const int64_t n_layer = config.integer("num_hidden_layers", 1, HParams::kMaxLayers);
  const double scale = config.number_or("query_pre_attn_scalar", 256, 1, 1e6);
  const double implied = n_layer == 62
                             ? config.number("hidden_size", 1, HParams::kMaxWidth) /
                                   config.number_or("num_attention_heads", 8, 1, HParams::kMaxHeads)
                             : static_cast<double>(head_dim);
  if (scale != implied) {
    config.refuse("query_pre_attn_scalar", fmt::format("{}", implied), fmt::format("{}", scale));
  }
  model.set_whole("attention.sliding_window",
                  config.integer_or("sliding_window", 4096, 1, HParams::kMaxContext));
  import_rope(config, "full_attention", 1e6, head_dim, model);
  const double local = local_freq_base(config);
  if (local != kLocalFreqBase) model.set_real("rope.freq_base_swa", local);
}

// The part that sees.
constexpr std::string_view kLeftOut[] = {"vision_tower.", "multi_modal_projector."};

constexpr HfNames kHf = {kClasses, kKeys, import_more, true, kLeftOut};

}  // namespace

extern const Arch arch_gemma3 = {"gemma3", read_config, kTensors, &kHf, shared_input::kGatedLayer};

}  // namespace nibble
