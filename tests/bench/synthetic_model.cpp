// Writes a model of a given shape with random weights, for speed and nothing else:
//   synthetic_model TYPE OUT.gguf [layers]
// Llama shape of 1B: 2048 wide, 8192 in the feed-forward, 32 heads of 64 over 8 key/value heads,
// 49152 tokens, the embedding also the output head, every matrix of one type.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "tests/support/kernel_data.h"

using namespace nibble;
using namespace nibble::test;

namespace {

constexpr int64_t kEmbd = 2048;
constexpr int64_t kFf = 8192;
constexpr int64_t kHeads = 32;
constexpr int64_t kHeadsKv = 8;
constexpr int64_t kHeadDim = 64;
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

void set_shape(GgufHeader& header, uint32_t layers) {
  header.set_string("general.architecture", "llama");
  header.set<uint32_t>("llama.block_count", layers);
  header.set<uint32_t>("llama.context_length", 8192);
  header.set<uint32_t>("llama.embedding_length", kEmbd);
  header.set<uint32_t>("llama.feed_forward_length", kFf);
  header.set<uint32_t>("llama.attention.head_count", kHeads);
  header.set<uint32_t>("llama.attention.head_count_kv", kHeadsKv);
  header.set<uint32_t>("llama.rope.dimension_count", kHeadDim);
  header.set<uint32_t>("llama.vocab_size", kVocab);
  header.set<float>("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  header.set<float>("llama.rope.freq_base", 10000.0f);
}

void add_tensor(GgufHeader& header, const std::string& name, DType type, int64_t rows,
                int64_t cols) {
  TensorInfo info;
  info.name = name;
  info.type_id = static_cast<uint32_t>(type);
  info.n_dims = rows == 0 ? 1 : 2;
  info.shape[0] = rows == 0 ? cols : rows;
  info.shape[1] = rows == 0 ? 1 : cols;
  header.add_tensor(info);
}

void add_tensors(GgufHeader& header, DType type, uint32_t layers) {
  add_tensor(header, "token_embd.weight", type, kVocab, kEmbd);
  add_tensor(header, "output_norm.weight", DType::F32, 0, kEmbd);
  for (uint32_t i = 0; i < layers; ++i) {
    const std::string blk = "blk." + std::to_string(i) + ".";
    add_tensor(header, blk + "attn_norm.weight", DType::F32, 0, kEmbd);
    add_tensor(header, blk + "attn_q.weight", type, kHeads * kHeadDim, kEmbd);
    add_tensor(header, blk + "attn_k.weight", type, kHeadsKv * kHeadDim, kEmbd);
    add_tensor(header, blk + "attn_v.weight", type, kHeadsKv * kHeadDim, kEmbd);
    add_tensor(header, blk + "attn_output.weight", type, kEmbd, kHeads * kHeadDim);
    add_tensor(header, blk + "ffn_norm.weight", DType::F32, 0, kEmbd);
    add_tensor(header, blk + "ffn_gate.weight", type, kFf, kEmbd);
    add_tensor(header, blk + "ffn_up.weight", type, kFf, kEmbd);
    add_tensor(header, blk + "ffn_down.weight", type, kEmbd, kFf);
  }
}

// Factors that give weights of some hundredths: sums stay finite through all layers.
std::vector<uint8_t> weights(Rng& rng, const TensorInfo& info) {
  const auto type = static_cast<DType>(info.type_id);
  if (type == DType::F32) {
    const std::vector<float> ones(static_cast<size_t>(info.cols()), 1.0f);
    std::vector<uint8_t> bytes(ones.size() * sizeof(float));
    std::memcpy(bytes.data(), ones.data(), bytes.size());
    return bytes;
  }
  const bool scaled = dtype_info(type).block_len == 256;
  const float d = type == DType::Q8_0 ? 0.0003f : (scaled ? 0.0001f : 0.004f);
  return random_weights(rng, type, info.rows(), info.cols(),
                        [&] { return block::float_to_half(rng() % 2 == 0 ? d : -d); });
}

void write_model(DType type, const char* path, uint32_t layers) {
  GgufHeader header;
  set_shape(header, layers);
  set_vocab(header);
  add_tensors(header, type, layers);
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
  if (type == nullptr) {
    std::fprintf(stderr, "usage: synthetic_model TYPE OUT.gguf [layers]\n");
    return 2;
  }
  try {
    write_model(type->type, argv[2], argc > 3 ? static_cast<uint32_t>(std::atoi(argv[3])) : 16);
  } catch (const Error& e) {
    std::fprintf(stderr, "error: %s\n", e.message().c_str());
    return 1;
  }
  return 0;
}
