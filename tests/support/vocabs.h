#pragma once
// The tokenizer pairs of ../shared/data/vocabs: a GGUF file without tensors, texts, expected ids.
// How they are laid out: NAME.gguf.inp.zst holds texts, each followed by a line
// __ggml_vocab_test__; NAME.gguf.out.zst holds the ids of one text a line.
#include <zstd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/text/tokenizer.h"
#include "tests/support/catch.h"

namespace nibble::test {

/// The names of the byte-level BPE, of the SentencePiece and of the WordPiece vocabularies.
inline const std::vector<std::string> kBpeVocabs = {
    "deepseek-coder", "deepseek-llm", "falcon", "gpt-2", "llama-bpe", "mpt", "qwen2", "starcoder"};
inline const std::vector<std::string> kSpmVocabs = {"llama-spm", "phi-3"};
inline const std::vector<std::string> kWordPieceVocabs = {"bert-bge"};

inline std::filesystem::path vocab_folder() {
  return std::filesystem::path(NIBBLE_SHARED_DIR) / "data" / "vocabs";
}

inline std::string read_zst(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string packed{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  std::string out;
  std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  ZSTD_inBuffer from{packed.data(), packed.size(), 0};
  std::string chunk(1 << 20, '\0');
  while (from.pos < from.size) {
    ZSTD_outBuffer to{chunk.data(), chunk.size(), 0};
    const size_t rc = ZSTD_decompressStream(context.get(), &to, &from);
    REQUIRE_FALSE(ZSTD_isError(rc));
    out.append(chunk, 0, to.pos);
  }
  return out;
}

/// A vocabulary's file in memory and its tokenizer; null pointers where the data is absent.
struct LoadedVocab {
  std::unique_ptr<std::string> bytes;
  std::unique_ptr<TensorFile> file;
  std::unique_ptr<Tokenizer> tokenizer;
};

inline LoadedVocab load_vocab(const std::string& name) {
  LoadedVocab vocab;
  const auto path = vocab_folder() / (name + ".gguf.zst");
  if (!std::filesystem::exists(path)) return vocab;
  vocab.bytes = std::make_unique<std::string>(read_zst(path));
  vocab.file = std::make_unique<TensorFile>(
      open_tensor_memory(std::as_bytes(std::span<const char>(*vocab.bytes)), name));
  vocab.tokenizer = Tokenizer::from_metadata(vocab.file->meta());
  return vocab;
}

struct VocabCase {
  std::string text;
  std::vector<int32_t> ids;
};

inline std::vector<VocabCase> vocab_cases(const std::string& name) {
  const std::string inputs = read_zst(vocab_folder() / (name + ".gguf.inp.zst"));
  std::istringstream outputs(read_zst(vocab_folder() / (name + ".gguf.out.zst")));
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  std::vector<VocabCase> cases;
  for (size_t at = 0; at < inputs.size();) {
    const size_t end = inputs.find(kSeparator, at);
    REQUIRE(end != std::string::npos);
    VocabCase one;
    one.text = inputs.substr(at, end - at);
    std::string line;
    REQUIRE(std::getline(outputs, line));
    std::istringstream ids(line);
    for (int32_t id = 0; ids >> id;) one.ids.push_back(id);
    cases.push_back(std::move(one));
    at = end + kSeparator.size();
  }
  return cases;
}

}  // namespace nibble::test

/// Declares `var`, loaded, or says loudly that the test did not run and goes on to the next name.
#define NIBBLE_VOCAB_OR_CONTINUE(var, name)                                                  \
  const nibble::test::LoadedVocab var = nibble::test::load_vocab(name);                      \
  if (var.tokenizer == nullptr) {                                                            \
    WARN("SKIPPED: vocabulary " << (name) << " is not in " << nibble::test::vocab_folder()); \
    continue;                                                                                \
  }
