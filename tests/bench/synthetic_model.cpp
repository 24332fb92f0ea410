// Writes a model of a given shape with random weights, for speed and nothing else:
//   synthetic_model TYPE OUT.gguf [layers [shape]]
// Llama shape of 1B: 2048 wide, 8192 in the feed-forward, 32 heads of 64 over 8 key/value heads,
// 49152 tokens, the embedding also the output head, every matrix of one type. The shapes experts,
// latent and alibi have that kind of block instead, of as many bytes and operations a token.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "runtime/model/arch.h"
#include "runtime/model/weights.h"
#include "tests/support/kernel_data.h"

using namespace nibble;
using namespace nibble::test;

namespace {

constexpr int64_t kEmbd = 2048;
constexpr int64_t kVocab = 49152;

void set_vocab(GgufHeader& header) {
  std::vector<std::string> texts = {"<unk>", "<s>", "</s>"};
  std::vector<float> scores(static_cast<size_t>(kVocab), 0.0f);
  std::vector<int32_t> types(static_cast<size_t>(kVocab), 1);
  types[0] = 2;
  types[1] = types[2] = 3;
  for (int i = 0; i < 256; ++i) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", i);
    types[texts.size()] = 6;
    texts.push_back(text);
  }
  while (static_cast<int64_t>(texts.size()) < kVocab) {
    scores[texts.size()] = -static_cast<float>(texts.size());
    texts.push_back("w" + std::to_string(texts.size()));
  }
  std::vector<std::string_view> views(texts.begin(), texts.end());
  header.set_string("tokenizer.ggml.model", "llama");
  header.set_strings("tokenizer.ggml.tokens", views);
  header.set_array<float>("tokenizer.ggml.scores", scores);
  header.set_array<int32_t>("tokenizer.ggml.token_type", types);
  header.set<uint32_t>("tokenizer.ggml.bos_token_id", 1);
  header.set<uint32_t>("tokenizer.ggml.eos_token_id", 2);
  header.set<uint32_t>("tokenizer.ggml.unknown_token_id", 0);
}

using Set = std::function<void(const char*, uint32_t)>;

void set_llama(const Set& set) {
  set("feed_forward_length", 8192);
  set("attention.head_count", 32);
  set("attention.head_count_kv", 8);
  set("rope.dimension_count", 64);
}

// Of each token as many bytes and operations as of the llama shape.
void set_experts(const Set& set) {
  set_llama(set);
  set("feed_forward_length", 2048);
  set("expert_count", 8);
  set("expert_used_count", 4);
}
void set_latent(const Set& set) {
  set("feed_forward_length", 8192);
  set("attention.head_count", 36);
  set("attention.head_count_kv", 1);
  set("attention.q_lora_rank", 768);
  set("rope.dimension_count", 32);
  set("attention.kv_lora_rank", 256);
  set("attention.key_length", 288);
  set("attention.value_length", 256);
  set("attention.key_length_mla", 96);
  set("attention.value_length_mla", 64);
  set("leading_dense_block_count", 1000);
  set("expert_shared_count", 1);
  set("expert_count", 1);
  set("expert_used_count", 1);
  set("expert_feed_forward_length", 32);
}
void set_alibi(const Set& set) {
  set("feed_forward_length", 12288);
  set("attention.head_count", 32);
  set("attention.head_count_kv", 8);
}

struct Shape {
  std::string_view name;
  std::string_view arch;
  void (*set)(const Set&);
};
constexpr Shape kShapes[] = {
    {"llama", "llama", set_llama},
    {"experts", "llama", set_experts},
    {"latent", "deepseek2", set_latent},
    {"alibi", "mpt", set_alibi},
};

void set_shape(GgufHeader& header, const Shape& shape, uint32_t layers) {
  const std::string arch(shape.arch);
  header.set_string("general.architecture", arch);
  const Set set = [&](const char* key, uint32_t value) { header.set(arch + "." + key, value); };
  set("block_count", layers);
  set("context_length", 8192);
  set("embedding_length", kEmbd);
  set("vocab_size", kVocab);
  shape.set(set);
  header.set<float>(arch + ".attention.layer_norm_rms_epsilon", 1e-5f);
  header.set<float>(arch + ".attention.layer_norm_epsilon", 1e-5f);
  header.set<float>(arch + ".attention.max_alibi_bias", 8.0f);
  header.set<float>(arch + ".rope.freq_base", 10000.0f);
}

void add_tensor(GgufHeader& header, const std::string& name, DType type, const RoleShape& shape) {
  if (shape.rows == 0 || shape.cols == 0) return;
  TensorInfo info;
  info.name = name;
  info.type_id = static_cast<uint32_t>(shape.is_vector || shape.stays_float ? DType::F32 : type);
  info.n_dims = shape.n_dims();
  const int64_t stacked = std::max<int64_t>(shape.n_stacked, 1);
  const int64_t dims[] = {stacked, shape.rows / stacked, shape.cols};
  std::copy(dims + 3 - info.n_dims, dims + 3, info.shape);
  header.add_tensor(info);
}

// What the architecture's rows name, but what another form of a tensor makes unnecessary.
bool is_wanted(const TensorName& row, const Arch& arch, const LayerSpec& spec) {
  const bool has_fused = std::any_of(arch.tensors.begin(), arch.tensors.end(),
                                     [](const auto& r) { return r.role == Role::attn_qkv; });
  const bool part = row.role >= Role::attn_q && row.role <= Role::attn_v;
  const bool whole_q = row.role == Role::attn_q && spec.latent.rank_q > 0;
  const bool dense = row.role >= Role::ffn_gate && row.role <= Role::ffn_down;
  return row.role != Role::output && row.role != Role::rope_freqs && row.role != Role::rope_short &&
         row.role != Role::rope_long && !row.name.ends_with(".bias") &&
         row.role != Role::position_embd && !(part && has_fused) && !whole_q &&
         !(dense && spec.experts.n > 0);
}

void add_tensors(GgufHeader& header, const Arch& arch, DType type) {
  const GgufLayout layout = header.layout();
  const TensorFile parsed = open_tensor_memory(layout.header, "synthetic");
  ModelConfig config = arch.read_config(HParams(parsed.meta(), arch.name));
  config.n_vocab = kVocab;
  for (const TensorName& row : arch.tensors) {
    if (!is_layer_role(row.role)) {
      const bool is_new = is_wanted(row, arch, LayerSpec());
      if (is_new) add_tensor(header, std::string(row.name), type, role_shape(row.role, config, {}));
      continue;
    }
    for (size_t i = 0; i < config.layers.size(); ++i) {
      const LayerSpec& spec = config.layers[i];
      if (!is_wanted(row, arch, spec)) continue;
      add_tensor(header, layer_name(row.name, static_cast<int64_t>(i)), type,
                 role_shape(row.role, config, spec));
    }
  }
}

// Factors that give weights of some hundredths: sums stay finite through all layers.
std::vector<uint8_t> weights(Rng& rng, const TensorInfo& info) {
  const auto type = static_cast<DType>(info.type_id);
  if (type == DType::F32) {
    const float each = info.rows() > 1 ? 0.02f : 1.0f;  // a router's; a norm's
    std::vector<float> ones(static_cast<size_t>(info.rows() * info.cols()), each);
    if (info.rows() > 1) {
      for (float& x : ones) x *= static_cast<float>(rng() % 3) - 1;
    }
    std::vector<uint8_t> bytes(ones.size() * sizeof(float));
    std::memcpy(bytes.data(), ones.data(), bytes.size());
    return bytes;
  }
  const bool scaled = dtype_info(type).block_len == 256;
  const float d = type == DType::Q8_0 ? 0.0003f : (scaled ? 0.0001f : 0.004f);
  return random_weights(rng, type, info.rows(), info.cols(),
                        [&] { return block::float_to_half(rng() % 2 == 0 ? d : -d); });
}

void write_model(DType type, const char* path, uint32_t layers, const Shape& shape) {
  GgufHeader header;
  set_shape(header, shape, layers);
  add_tensors(header, *find_arch(shape.arch), type);
  set_vocab(header);
  GgufWriter writer(path, header);
  Rng rng(1);
  while (const TensorInfo* info = writer.current()) {
    const std::vector<uint8_t> bytes = weights(rng, *info);
    writer.write(std::as_bytes(std::span(bytes)));
  }
  writer.finish();
}

}  // namespace

int main(int argc, char** argv) {
  const DTypeInfo* type = argc > 2 ? find_dtype(argv[1]) : nullptr;
  const std::string_view wanted = argc > 4 ? argv[4] : "llama";
  const Shape* shape = std::find_if(std::begin(kShapes), std::end(kShapes),
                                    [&](const Shape& s) { return s.name == wanted; });
  if (type == nullptr || shape == std::end(kShapes)) {
    std::fprintf(stderr,
                 "usage: synthetic_model TYPE OUT.gguf [layers [llama|experts|latent|alibi]]\n");
    return 2;
  }
  try {
    write_model(type->type, argv[2], argc > 3 ? static_cast<uint32_t>(std::atoi(argv[3])) : 16,
                *shape);
  } catch (const Error& e) {
    std::fprintf(stderr, "error: %s\n", e.message().c_str());
    return 1;
  }
  return 0;
}
