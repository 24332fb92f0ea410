// bert: an encoder. All positions see all; norms follow the sums of blocks and residual; learned
// positions, token types, a norm behind the embedding, a plain feed-forward, no output head.
// RoBERTa and XLM-RoBERTa differ in their tokenizers, and count positions from behind the padding
// token's number: the rows before are left out.
#include <algorithm>

#include "formats/gguf.h"
#include "runtime/model/decoder.h"

namespace nibble {
namespace {

constexpr const char* kTokenTypeCount = "tokenizer.ggml.token_type_count";
constexpr int64_t kMostTokenTypes = 64;

ModelConfig read_config(const HParams& hp) {
  ModelConfig config = read_decoder(hp, NormKind::layer);
  config.causal = false;
  config.bounded = true;
  config.n_token_types =
      std::clamp<int64_t>(hp.meta().get_int(kTokenTypeCount).value_or(2), 1, kMostTokenTypes);
  for (LayerSpec& layer : config.layers) {
    layer.norms = NormPlacement::sum;
    layer.feed_forward = FeedForward::plain;
    layer.activation = Activation::gelu;
  }
  return config;
}

constexpr TensorName kTensors[] = {
    {Role::token_embd, "token_embd.weight", "embeddings.word_embeddings.weight"},
    {Role::token_types, "token_types.weight", "embeddings.token_type_embeddings.weight"},
    {Role::position_embd, "position_embd.weight", "embeddings.position_embeddings.weight"},
    {Role::embd_norm, "token_embd_norm.weight", "embeddings.LayerNorm.weight"},
    {Role::embd_norm_bias, "token_embd_norm.bias", "embeddings.LayerNorm.bias"},
    {Role::attn_q, "blk.{}.attn_q.weight", "encoder.layer.{}.attention.self.query.weight"},
    {Role::attn_k, "blk.{}.attn_k.weight", "encoder.layer.{}.attention.self.key.weight"},
    {Role::attn_v, "blk.{}.attn_v.weight", "encoder.layer.{}.attention.self.value.weight"},
    {Role::attn_q_bias, "blk.{}.attn_q.bias", "encoder.layer.{}.attention.self.query.bias"},
    {Role::attn_k_bias, "blk.{}.attn_k.bias", "encoder.layer.{}.attention.self.key.bias"},
    {Role::attn_v_bias, "blk.{}.attn_v.bias", "encoder.layer.{}.attention.self.value.bias"},
    {Role::attn_output, "blk.{}.attn_output.weight",
     "encoder.layer.{}.attention.output.dense.weight"},
    {Role::attn_output_bias, "blk.{}.attn_output.bias",
     "encoder.layer.{}.attention.output.dense.bias"},
    {Role::attn_post_norm, "blk.{}.attn_output_norm.weight",
     "encoder.layer.{}.attention.output.LayerNorm.weight"},
    {Role::attn_post_norm_bias, "blk.{}.attn_output_norm.bias",
     "encoder.layer.{}.attention.output.LayerNorm.bias"},
    {Role::ffn_up, "blk.{}.ffn_up.weight", "encoder.layer.{}.intermediate.dense.weight"},
    {Role::ffn_up_bias, "blk.{}.ffn_up.bias", "encoder.layer.{}.intermediate.dense.bias"},
    {Role::ffn_down, "blk.{}.ffn_down.weight", "encoder.layer.{}.output.dense.weight"},
    {Role::ffn_down_bias, "blk.{}.ffn_down.bias", "encoder.layer.{}.output.dense.bias"},
    {Role::ffn_post_norm, "blk.{}.layer_output_norm.weight",
     "encoder.layer.{}.output.LayerNorm.weight"},
    {Role::ffn_post_norm_bias, "blk.{}.layer_output_norm.bias",
     "encoder.layer.{}.output.LayerNorm.bias"},
};

constexpr std::string_view kClasses[] = {
    "BertModel",       "BertForMaskedLM",       "RobertaModel", "RobertaForMaskedLM",
    "XLMRobertaModel", "XLMRobertaForMaskedLM", "bert",         "roberta",
    "xlm-roberta"};

void import_more(const HfConfig& config, HfModel& model) {
  config.expect_text("hidden_act", {"gelu"});
  config.expect_text("position_embedding_type", {"absolute"});
  expect_flag(config, "is_decoder", false);
  import_feed_forward(config, "intermediate_size", model);
  model.set_flag("attention.causal", false);
  const int64_t n_types = config.integer_or("type_vocab_size", 2, 1, kMostTokenTypes);
  model.header.set(kTokenTypeCount, static_cast<uint32_t>(n_types));
  const std::string_view name =
      config.class_name().empty() ? config.model_type() : config.class_name();
  if (name.starts_with("Bert") || name == "bert") return;
  model.n_before_positions = config.integer_or("pad_token_id", 1, 0, HParams::kMaxContext) + 1;
  const int64_t n_rows = config.integer("max_position_embeddings", 1, HParams::kMaxContext);
  model.set_whole("context_length", n_rows - model.n_before_positions);
}

// Heads of other tasks.
constexpr std::string_view kLeftOut[] = {"pooler.", "cls.", "lm_head.", "embeddings.position_ids"};

constexpr HfNames kHf = {kClasses, kLayerNormKeys, import_more, true, kLeftOut, "bert.|roberta."};

}  // namespace

extern const Arch arch_bert = {"bert", read_config, kTensors, &kHf};

}  // namespace nibble
