// Any vocabulary and any text: an Error, or a tokenizer whose ids are in range, whose decode takes
// them back, and that makes no control token of text that must stay text. The first byte picks the
// kind and the flags; then come items (a length byte, the bytes) for the vocabulary, the rest is
// the text. Over the two toy vocabularies of the unit tests any bytes come back.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "formats/io/error.h"
#include "runtime/text/pre_types.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/utf8.h"
#include "tests/support/toy_vocab.h"

using namespace nibble;

namespace {

void promise(bool kept, const char* what) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return value;
  }
  std::string item() {
    const size_t wanted = byte() % 16;
    const size_t size = std::min(wanted, rest_.size());
    const std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// Pieces of the input go into a toy vocabulary: tokens of any type, merges, ids.
test::ToyVocab make_vocab(Input& input) {
  const uint8_t kind = input.byte();
  test::ToyVocab vocab = (kind & 1) != 0 ? test::toy_spm() : test::toy_bpe();
  if ((kind & 16) != 0) {
    vocab = (kind & 1) != 0 ? test::toy_unigram((kind & 32) != 0) : test::toy_wordpiece();
    if ((kind & 64) != 0) vocab.chars_map = input.item() + input.item() + input.item();
  }
  if (vocab.model == "gpt2") vocab.pre = pre_types()[input.byte() % pre_types().size()].name;
  if ((kind & 2) != 0) {
    vocab.tokens.clear();
    vocab.types.clear();
    vocab.scores.clear();
  }
  for (int n = input.byte() % 32; n > 0; --n) {
    const std::string text = input.item();
    vocab.add(text, input.byte() % 8, static_cast<float>(static_cast<int8_t>(input.byte())));
  }
  for (int n = input.byte() % 16; n > 0; --n) vocab.merges.push_back(input.item());
  if ((kind & 4) != 0)
    vocab.ids = {{"bos_token_id", input.byte() - 3}, {"eot_token_id", input.byte()}};
  if ((kind & 8) != 0) vocab.types.resize(input.byte());
  return vocab;
}

void check(const Tokenizer& tokenizer, std::string_view text, bool comes_back) {
  const auto plain = tokenizer.encode(text, false, false);
  for (const int32_t id : plain) {
    promise(id >= 0 && id < tokenizer.n_vocab(), "ids are in range");
    const bool unknown = id == tokenizer.unk() && !tokenizer.is_eog(id) && id != tokenizer.bos();
    promise(unknown || tokenizer.token_type(id) != TokenType::control, "text stays text");
  }
  const std::string back = tokenizer.decode(plain, false);
  promise(!comes_back || back == text, "any bytes come back");
  const std::string_view front = text.substr(0, text.size() / 2);
  const TextSpan spans[] = {{front, true}, {text.substr(front.size()), false}};
  for (const int32_t id : tokenizer.encode(spans, true)) {
    promise(id >= 0 && id < tokenizer.n_vocab(), "ids are in range");
    tokenizer.piece(id, true);
  }
  Utf8Stream stream;
  std::string shown;
  for (const int32_t id : plain) shown += stream.push(tokenizer.piece(id, false));
  shown += stream.finish();
  promise(utf8_valid_prefix(shown) == shown.size(), "a stream is UTF-8");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto bpe_meta = test::toy_bpe().metadata();
  static const auto spm_meta = test::toy_spm().metadata();
  static const auto bpe = Tokenizer::from_metadata(bpe_meta->get());
  static const auto spm = Tokenizer::from_metadata(spm_meta->get());
  static const auto unigram_meta = test::toy_unigram(true).metadata();
  static const auto wordpiece_meta = test::toy_wordpiece().metadata();
  static const auto unigram = Tokenizer::from_metadata(unigram_meta->get());
  static const auto wordpiece = Tokenizer::from_metadata(wordpiece_meta->get());
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  check(*bpe, all, true);
  // SentencePiece writes U+2581 as a space and cannot tell them apart.
  check(*spm, all, all.find("\xE2\x96\x81") == std::string_view::npos);
  check(*unigram, all, false);
  check(*wordpiece, all, false);
  Input input(data, size);
  const test::ToyVocab vocab = make_vocab(input);
  const auto meta = vocab.metadata();
  try {
    const auto tokenizer = Tokenizer::from_metadata(meta->get());
    check(*tokenizer, input.rest(), false);
  } catch (const Error& error) {
    promise(!error.message().empty(), "an error says what is wrong");
    promise(error.code() != ErrorCode::internal, "no input is a bug of ours");
  }
  return 0;
}
