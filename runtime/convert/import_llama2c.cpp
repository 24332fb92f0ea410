// llama2.c checkpoints to a plan. run.c rotates neighbouring elements, as GGUF's llama does, so no
// row moves.
#include <cstring>
#include <filesystem>

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "formats/llama2c.h"
#include "runtime/convert/import_plan.h"
#include "runtime/convert/import_tokenizer.h"
#include "runtime/model/arch.h"
#include "runtime/text/vocab.h"

namespace nibble {
namespace {

struct Name {
  std::string_view run_c;
  std::string_view gguf;
};
constexpr Name kNames[] = {
    {"token_embedding_table", "token_embd.weight"},
    {"rms_att_weight", "blk.{}.attn_norm.weight"},
    {"wq", "blk.{}.attn_q.weight"},
    {"wk", "blk.{}.attn_k.weight"},
    {"wv", "blk.{}.attn_v.weight"},
    {"wo", "blk.{}.attn_output.weight"},
    {"rms_ffn_weight", "blk.{}.ffn_norm.weight"},
    {"w1", "blk.{}.ffn_gate.weight"},
    {"w2", "blk.{}.ffn_down.weight"},
    {"w3", "blk.{}.ffn_up.weight"},
    {"rms_final_weight", "output_norm.weight"},
    {"wcls", "output.weight"},
};

std::string gguf_name(const Llama2cTensor& tensor) {
  for (const Name& name : kNames) {
    if (name.run_c != tensor.name) continue;
    return tensor.layer < 0 ? std::string(name.gguf) : layer_name(name.gguf, tensor.layer);
  }
  fail(ErrorCode::internal, "llama2.c: tensor {} has no row", tensor.name);
}

struct Files {
  Files(const std::string& model_path, const std::string& tokenizer_path)
      : model(model_path), tokenizer(tokenizer_path) {}
  MappedFile model;
  MappedFile tokenizer;
};

WeightRows rows_of(const Llama2cTensor& tensor, const MappedFile& file) {
  WeightRows rows;
  rows.name = fmt::format("{}: tensor {}", file.path(), tensor.name);
  if (tensor.layer >= 0) rows.name += fmt::format(" of layer {}", tensor.layer);
  rows.rows = tensor.rows;
  rows.cols = tensor.cols;
  rows.shape = tensor.is_vector ? std::vector<int64_t>{tensor.cols}
                                : std::vector<int64_t>{tensor.rows, tensor.cols};
  const std::byte* data = file.bytes().data() + tensor.offset;
  const int64_t stride = tensor.cols * static_cast<int64_t>(sizeof(float));
  rows.bytes = [data, stride](int64_t row, void* to) {
    std::memcpy(to, data + row * stride, static_cast<size_t>(stride));
  };
  rows.floats = [read = rows.bytes](int64_t row, float* to) { read(row, to); };
  rows.give_back = [&file, offset = tensor.offset, stride](int64_t first, int64_t n) {
    file.dont_need(offset + static_cast<uint64_t>(first * stride),
                   static_cast<uint64_t>(n * stride));
  };
  return rows;
}

void set_keys(const Llama2cModel& m, GgufHeader& header) {
  HfModel keys{header, "llama"};
  keys.set_whole("vocab_size", m.vocab);
  keys.set_whole("context_length", m.context);
  keys.set_whole("embedding_length", m.dim);
  keys.set_whole("block_count", m.layers);
  keys.set_whole("feed_forward_length", m.hidden);
  keys.set_whole("attention.head_count", m.heads);
  keys.set_whole("attention.head_count_kv", m.kv_heads);
  keys.set_whole("rope.dimension_count", m.dim / m.heads);
  keys.set_real("attention.layer_norm_rms_epsilon", 1e-5);
  keys.set_real("rope.freq_base", 10000.0);
}

// The exporter wrote spaces instead of U+2581 and put line breaks around <s> and </s>.
std::string spelled(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ') {
      out += "\xE2\x96\x81";
    } else {
      out += c;
    }
  }
  return out;
}

void set_tokenizer(const Llama2cModel& m, const MappedFile& file, GgufHeader& header) {
  ImportVocab vocab(m.vocab, file.path());
  const std::vector<Llama2cToken> tokens =
      read_llama2c_tokenizer(file.bytes(), m.vocab, file.path());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<int64_t>(i);
    const bool is_byte = parse_byte_token(tokens[i].text).has_value();
    if (id == 0) {
      vocab.add(id, "<unk>", TokenType::unknown, 0);
    } else if (id == 1 || id == 2) {
      vocab.add(id, id == 1 ? "<s>" : "</s>", TokenType::control, 0);
    } else {
      vocab.add(id, spelled(tokens[i].text), is_byte ? TokenType::byte : TokenType::normal,
                tokens[i].score);
    }
  }
  header.set_string("tokenizer.ggml.model", "llama");
  header.set_string("tokenizer.ggml.pre", "default");
  vocab.write(header, true);
  header.set("tokenizer.ggml.bos_token_id", uint32_t{1});
  header.set("tokenizer.ggml.eos_token_id", uint32_t{2});
  header.set("tokenizer.ggml.unknown_token_id", uint32_t{0});
  header.set("tokenizer.ggml.add_bos_token", true);
  header.set("tokenizer.ggml.add_eos_token", false);
  header.set("tokenizer.ggml.add_space_prefix", true);
}

}  // namespace

ImportPlan plan_llama2c(const std::string& path, const std::string& tokenizer) {
  const std::filesystem::path model_path(path);
  const std::string beside = (model_path.parent_path() / "tokenizer.bin").string();
  // The model first: a file that is none must not be blamed for a missing tokenizer.
  (void)read_llama2c(MappedFile(path).bytes(), path);
  std::error_code ignored;
  if (tokenizer.empty() && !std::filesystem::exists(beside, ignored)) {
    throw Error(ErrorCode::not_found,
                fmt::format("{}: expected tokenizer.bin beside it, got none", path),
                "--tokenizer names another");
  }
  const auto files = std::make_shared<const Files>(path, tokenizer.empty() ? beside : tokenizer);
  const Llama2cModel model = read_llama2c(files->model.bytes(), path);
  ImportPlan plan;
  plan.owner = files;
  plan.require_unchanged = [files] {
    files->model.require_unchanged();
    files->tokenizer.require_unchanged();
  };
  plan.inputs = {path, files->tokenizer.path()};
  plan.header.set_string("general.architecture", "llama");
  plan.header.set_string("general.type", "model");
  plan.header.set_string("general.name", model_path.stem().string());
  set_keys(model, plan.header);
  set_tokenizer(model, files->tokenizer, plan.header);
  for (const Llama2cTensor& tensor : model.tensors) {
    plan.tensors.push_back({gguf_name(tensor), rows_of(tensor, files->model)});
  }
  return plan;
}

}  // namespace nibble
