// The table of tokenizer models, and what all tokenizers share.
#include "runtime/text/tokenizer.h"

#include <algorithm>

#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "formats/tensor_file.h"
#include "runtime/text/bpe.h"
#include "runtime/text/pre_types.h"
#include "runtime/text/spm.h"
#include "runtime/text/unigram.h"
#include "runtime/text/wordpiece.h"

namespace nibble {
namespace {

std::unique_ptr<Tokenizer> make_bpe(const Metadata& meta, const CancelToken* cancel) {
  const std::string_view name = meta.get_string("tokenizer.ggml.pre").value_or("default");
  const PreType* pre = find_pre_type(name);
  if (pre == nullptr) {
    std::string known;
    for (const PreType& row : pre_types()) {
      known += known.empty() ? "" : ", ";
      known += row.name;
    }
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: tokenizer.ggml.pre: expected a known pre-tokenizer, got {}",
                            meta.file(), quoted(name)),
                fmt::format("known: {}", known));
  }
  return std::make_unique<BpeTokenizer>(meta, *pre, cancel);
}

std::unique_ptr<Tokenizer> make_spm(const Metadata& meta, const CancelToken* cancel) {
  return std::make_unique<SpmTokenizer>(meta, cancel);
}

std::unique_ptr<Tokenizer> make_unigram(const Metadata& meta, const CancelToken* cancel) {
  return std::make_unique<UnigramTokenizer>(meta, cancel);
}

std::unique_ptr<Tokenizer> make_wordpiece(const Metadata& meta, const CancelToken* cancel) {
  return std::make_unique<WordPieceTokenizer>(meta, cancel);
}

struct Model {
  std::string_view name;  // tokenizer.ggml.model
  std::string_view what;
  std::unique_ptr<Tokenizer> (*make)(const Metadata&, const CancelToken*);
};

constexpr Model kModels[] = {
    {"gpt2", "byte-level BPE", make_bpe},
    {"llama", "SentencePiece BPE", make_spm},
    {"t5", "SentencePiece Unigram", make_unigram},
    {"bert", "WordPiece", make_wordpiece},
};

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_metadata(const Metadata& meta,
                                                    const CancelToken* cancel) {
  const std::optional<std::string_view> name = meta.get_string("tokenizer.ggml.model");
  if (!name) {
    fail(ErrorCode::bad_file,
         "{}: metadata key 'tokenizer.ggml.model': expected a tokenizer, got "
         "no such key",
         meta.file());
  }
  std::string known;
  for (const Model& model : kModels) {
    if (model.name == *name) return model.make(meta, cancel);
    known += fmt::format("{}'{}' ({})", known.empty() ? "" : ", ", model.name, model.what);
  }
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: tokenizer.ggml.model: expected a known tokenizer, got {}",
                          meta.file(), quoted(*name)),
              fmt::format("known: {}", known));
}

bool Tokenizer::is_eog(int32_t id) const noexcept {
  return std::binary_search(eog_.begin(), eog_.end(), id);
}

}  // namespace nibble
