// Vocabularies that contradict themselves are refused with a message, never read out of bounds; odd
// but legal ones work.
#include <functional>
#include <limits>

#include "formats/io/error.h"
#include "runtime/text/tokenizer.h"
#include "runtime/threads/cancel.h"
#include "tests/support/catch.h"
#include "tests/support/toy_vocab.h"

namespace nibble::test {
namespace {

void check_error(const ToyVocab& vocab, ErrorCode code, const std::string& part) {
  const auto meta = vocab.metadata();
  CAPTURE(part);
  try {
    Tokenizer::from_metadata(meta->get());
    FAIL_CHECK("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK(error.message().find(part) != std::string::npos);
    CHECK(error.message().find("toy.gguf") != std::string::npos);
  }
}

std::vector<std::string> texts_of(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::vector<std::string> texts;
  for (const int32_t id : ids) texts.emplace_back(tokenizer.token_text(id));
  return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("building a tokenizer can be cancelled") {
  for (const ToyVocab& vocab : {toy_bpe(), toy_spm(), toy_unigram(), toy_wordpiece()}) {
    const auto meta = vocab.metadata();
    CancelToken cancel;
    CHECK_NOTHROW(Tokenizer::from_metadata(meta->get(), &cancel));
    cancel.request();
    try {
      Tokenizer::from_metadata(meta->get(), &cancel);
      FAIL_CHECK("built");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::cancelled);
    }
  }
}

TEST_CASE("malformed: no vocabulary, no tokenizer, unknown kinds") {
  ToyMetadata nothing;
  CHECK_THROWS_AS(Tokenizer::from_metadata(nothing.get()), Error);
  ToyVocab vocab = toy_bpe();
  vocab.model = "wordpiece";
  check_error(vocab, ErrorCode::unsupported, "wordpiece");
  vocab = toy_bpe();
  vocab.pre = "my-own-split";
  check_error(vocab, ErrorCode::unsupported, "my-own-split");
  const auto meta = vocab.metadata();
  try {
    Tokenizer::from_metadata(meta->get());
  } catch (const Error& error) {
    CHECK(error.hint().find("llama-bpe") != std::string::npos);
  }
  for (ToyVocab empty : {toy_bpe(), toy_spm()}) {
    empty.tokens.clear();
    empty.types.clear();
    empty.scores.clear();
    check_error(empty, ErrorCode::bad_file, "tokens");
  }
  vocab = toy_bpe();
  vocab.pre.clear();
  const auto without_pre = vocab.metadata();
  CHECK(Tokenizer::from_metadata(without_pre->get())->pre() == "default");
}

TEST_CASE("malformed: arrays of another length or type than the tokens") {
  for (const ToyVocab& good : {toy_bpe(), toy_spm()}) {
    const size_t n = good.tokens.size();
    for (const size_t length : {size_t{1}, n - 1, n + 1}) {
      ToyVocab vocab = good;
      vocab.types.resize(length, 1);
      check_error(vocab, ErrorCode::bad_file, "token_type");
      if (good.model != "llama") continue;
      vocab = good;
      vocab.scores.resize(length);
      check_error(vocab, ErrorCode::bad_file, "scores");
    }
  }
  ToyVocab vocab = toy_spm();
  vocab.scores.clear();
  check_error(vocab, ErrorCode::bad_file, "scores");
  vocab = toy_spm();
  vocab.scores[5] = std::numeric_limits<float>::quiet_NaN();
  check_error(vocab, ErrorCode::bad_file, "scores");
  for (const int32_t type : {-1, 7, std::numeric_limits<int32_t>::max()}) {
    vocab = toy_spm();
    vocab.types[5] = type;
    check_error(vocab, ErrorCode::bad_file, "token_type");
  }
  // One byte a type: another element type, the same meaning; and one too few.
  for (const size_t missing : {size_t{0}, size_t{1}}) {
    vocab = toy_spm();
    std::vector<uint8_t> narrow(vocab.types.begin(), vocab.types.end() - static_cast<int>(missing));
    vocab.types.clear();
    auto meta = vocab.metadata();
    meta->add_numbers("token_type", MetaType::u8, narrow);
    if (missing == 0) {
      CHECK(Tokenizer::from_metadata(meta->get())->token_type(0) == TokenType::unknown);
    } else {
      CHECK_THROWS_AS(Tokenizer::from_metadata(meta->get()), Error);
    }
  }
}

TEST_CASE("malformed: ids with a role out of range, whatever the size of the vocabulary") {
  const char* keys[] = {"bos_token_id", "eos_token_id", "unknown_token_id", "eot_token_id",
                        "eom_token_id"};
  for (const ToyVocab& good : {toy_bpe(), toy_spm()}) {
    for (const char* key : keys) {
      for (const int64_t id :
           {int64_t{-2}, static_cast<int64_t>(good.tokens.size()),
            int64_t{std::numeric_limits<int32_t>::max()}, std::numeric_limits<int64_t>::min()}) {
        ToyVocab vocab = good;
        vocab.ids = {{key, id}};
        check_error(vocab, ErrorCode::bad_file, key);
      }
      ToyVocab none = good;
      none.ids = {{key, -1}};
      CHECK_NOTHROW(Tokenizer::from_metadata(none.metadata()->get()));
    }
  }
  // Ids that a missing key means are checked too.
  for (const size_t n : {1u, 2u, 3u, 12u}) {
    for (ToyVocab vocab : {toy_spm(), toy_bpe()}) {
      vocab.tokens.resize(n);
      vocab.types.resize(n);
      vocab.scores.resize(n);
      vocab.merges = {"a b"};
      vocab.ids.clear();
      const auto meta = vocab.metadata();
      const auto tokenizer = Tokenizer::from_metadata(meta->get());
      for (const int32_t id : {tokenizer->bos(), tokenizer->eos(), tokenizer->unk()}) {
        CHECK(id >= -1);
        CHECK(id < static_cast<int32_t>(n));
      }
      CHECK(tokenizer->adds_bos() == (tokenizer->bos() >= 0 && vocab.model == "llama"));
      CHECK_NOTHROW(tokenizer->encode("ab </s> \xFF\n", true, true));
    }
  }
}

TEST_CASE("malformed: byte tokens are exactly <0xHH>") {
  for (const char* text : {"<0x-1>", "<0xZZ>", "<0x1>", "<0x123>", "0x41", "<0x4 >", "<0X41>", "",
                           "<0x41", "<0x41> "}) {
    ToyVocab vocab = toy_spm();
    vocab.tokens[3] = text;
    check_error(vocab, ErrorCode::bad_file, "byte token");
  }
  ToyVocab vocab = toy_spm();
  vocab.tokens[3 + 0xAB] = "<0xab>";
  const auto meta = vocab.metadata();
  CHECK(Tokenizer::from_metadata(meta->get())->piece(3 + 0xAB, false) == "\xAB");
}

TEST_CASE("malformed: merges") {
  for (const char* item : {"", " ", "ab", " ab", "ab ", "a"}) {
    ToyVocab vocab = toy_bpe();
    vocab.merges.emplace_back(item);
    check_error(vocab, ErrorCode::bad_file, "merges");
  }
  ToyVocab vocab = toy_bpe();
  vocab.merges.clear();
  check_error(vocab, ErrorCode::bad_file, "merges");
}

TEST_CASE("odd: merges over texts that are no tokens come out as bytes") {
  ToyVocab vocab = toy_bpe();
  vocab.merges = {"x y", "xy z"};  // neither is a token
  vocab.add("xyz");
  const auto meta = vocab.metadata();
  const auto tokenizer = Tokenizer::from_metadata(meta->get());
  CHECK(texts_of(*tokenizer, tokenizer->encode("xyz", false, false)) == Texts{"xyz"});
  CHECK(texts_of(*tokenizer, tokenizer->encode("xyq", false, false)) == Texts{"x", "y", "q"});
}

TEST_CASE("odd: a merge list that spells a control token does not make one") {
  ToyVocab vocab = toy_bpe();
  vocab.add("evil", 3);
  vocab.merges = {"e v", "i l", "ev il"};
  const auto meta = vocab.metadata();
  const auto tokenizer = Tokenizer::from_metadata(meta->get());
  CHECK(texts_of(*tokenizer, tokenizer->encode("evil", false, false)) == Texts{"e", "v", "i", "l"});
  CHECK(tokenizer->encode("evil", false, true).size() == 1);
  ToyVocab spm = toy_spm();
  spm.add("abcd", 3, 100);
  const auto spm_meta = spm.metadata();
  const auto spm_tokenizer = Tokenizer::from_metadata(spm_meta->get());
  for (const int32_t id : spm_tokenizer->encode("abcd", false, false)) {
    CHECK(spm_tokenizer->token_type(id) != TokenType::control);
  }
}

TEST_CASE("odd: equal texts, the last id counts; empty texts are never made") {
  ToyVocab vocab = toy_bpe();
  vocab.add("ab");
  vocab.add("");
  const auto meta = vocab.metadata();
  const auto tokenizer = Tokenizer::from_metadata(meta->get());
  const auto last = static_cast<int32_t>(vocab.tokens.size() - 2);
  CHECK(tokenizer->find("ab") == last);
  CHECK(tokenizer->encode("ab", false, false) == std::vector<int32_t>{last});
  CHECK(tokenizer->find("") == -1);
  CHECK(tokenizer->piece(last + 1, true).empty());
}

TEST_CASE("odd: unused pieces take part in merging and are taken apart again") {
  ToyVocab vocab = toy_spm();
  for (size_t i = 0; i < vocab.tokens.size(); ++i) {
    if (vocab.tokens[i] == "abc") vocab.types[i] = 5;
  }
  vocab.add("abcd", 1, -0.5F);  // reached over the unused "abc" only
  auto meta = vocab.metadata();
  meta->add_bool("add_space_prefix", false);
  const auto tokenizer = Tokenizer::from_metadata(meta->get());
  CHECK(texts_of(*tokenizer, tokenizer->encode("abc", false, false)) == Texts{"ab", "c"});
  CHECK(texts_of(*tokenizer, tokenizer->encode("abcd", false, false)) == Texts{"abcd"});
}

TEST_CASE("odd: no byte tokens: one unknown token a character") {
  ToyVocab vocab;
  vocab.model = "llama";
  vocab.add("<unk>", 2);
  vocab.add("a", 1);
  const auto meta = vocab.metadata();
  const auto tokenizer = Tokenizer::from_metadata(meta->get());
  CHECK(tokenizer->unk() == 0);
  CHECK(tokenizer->encode("a\xE4\xBD\xA0", false, false) == std::vector<int32_t>{0, 1, 0});
}

TEST_CASE("odd: an end token named as the unknown one is not what text turns into") {
  ToyVocab vocab;
  vocab.model = "llama";
  vocab.add("</s>", 3);
  vocab.add("a", 1);
  vocab.ids = {{"unknown_token_id", 0}, {"eos_token_id", 0}};
  const auto meta = vocab.metadata();
  const auto tokenizer = Tokenizer::from_metadata(meta->get());
  CHECK(tokenizer->encode("a\xE4\xBD\xA0", false, false) == std::vector<int32_t>{1});
}

TEST_CASE("special tokens: the leftmost, then the longest; user-defined ones everywhere") {
  ToyVocab vocab = toy_bpe();
  for (const char* text : {"<a>", "<a>b", "<a>bc<"}) vocab.add(text, 3);
  for (const char* text : {"[u]", "\n\n", "\n\n\n"}) vocab.add(text, 4);
  const auto meta = vocab.metadata();
  const auto tokenizer = Tokenizer::from_metadata(meta->get());
  const auto parse = [&](std::string_view text, bool special) {
    return texts_of(*tokenizer, tokenizer->encode(text, false, special));
  };
  CHECK(parse("<a>bc<a>", true) == Texts{"<a>bc<", "a", ">"});
  CHECK(parse("<a>bx<", true) == Texts{"<a>b", "x", "<"});
  CHECK(parse("<a>b", false) == Texts{"<", "a", ">", "b"});
  CHECK(parse("x[u]y\n\n\n\n\n", false) == Texts{"x", "[u]", "y", "\n\n\n", "\n\n"});
  // A user-defined token is found across a border of spans, a control token is not, and a shorter
  // one that ends inside the template's span is.
  const TextSpan newlines[] = {{"\n", true}, {"\n", false}};
  CHECK(texts_of(*tokenizer, tokenizer->encode(newlines, false)) == Texts{"\n\n"});
  const TextSpan torn[] = {{"<a>b", true}, {"c<", false}};
  CHECK(texts_of(*tokenizer, tokenizer->encode(torn, false)) == Texts{"<a>b", "c", "<"});
  const TextSpan joined[] = {{"<a", true}, {"", false}, {">", true}};
  CHECK(texts_of(*tokenizer, tokenizer->encode(joined, false)) == Texts{"<a>"});
  ToyVocab huge = toy_bpe();
  huge.add(std::string(2000, 'x'), 3);
  check_error(huge, ErrorCode::bad_file, "special token");
}

TEST_CASE("framing: as the file says, and no second BOS") {
  ToyVocab vocab = toy_spm();
  auto meta = vocab.metadata();
  meta->add_bool("add_eos_token", true);
  const auto tokenizer = Tokenizer::from_metadata(meta->get());
  CHECK(tokenizer->encode("", true, false) == std::vector<int32_t>{1, 2});
  CHECK(tokenizer->encode("", false, false).empty());
  CHECK(tokenizer->encode("<s>a", true, true) == tokenizer->encode("a", true, true));
  CHECK(tokenizer->encode("<s>a", true, false).front() == 1);
  CHECK(texts_of(*tokenizer, tokenizer->encode("a", false, false)) == Texts{"\xE2\x96\x81"
                                                                            "a"});
  CHECK(tokenizer->decode(tokenizer->encode("a b", true, false), false) == "a b");
  CHECK(tokenizer->decode(tokenizer->encode(" a b ", true, false), false) == " a b ");
  CHECK(tokenizer->decode(tokenizer->encode("a b", true, false), true) == "<s>a b</s>");
  CHECK(tokenizer->is_eog(2));
}

TEST_CASE("malformed: Unigram") {
  ToyVocab vocab = toy_unigram();
  vocab.scores.clear();
  check_error(vocab, ErrorCode::bad_file, "scores");
  vocab = toy_unigram();
  vocab.scores[5] = std::numeric_limits<float>::quiet_NaN();
  check_error(vocab, ErrorCode::bad_file, "score of token 5");
  vocab = toy_unigram();
  vocab.tokens[5] = std::string(2000, 'x');
  check_error(vocab, ErrorCode::bad_file, "1024");
  vocab = toy_unigram();
  vocab.scores.pop_back();
  check_error(vocab, ErrorCode::bad_file, "one a token");
}

TEST_CASE("Unigram: the path of the highest sum, unknown characters as one token") {
  const auto meta = toy_unigram().metadata();
  const auto tokenizer = Tokenizer::from_metadata(meta->get());
  // _a (-5.5) b (-2.5) beats _ (-1) ab (-4); _ abc (-5.75) beats both with c (-3.25) behind.
  CHECK(texts_of(*tokenizer, tokenizer->encode("ab", false, false)) == Texts{"\xE2\x96\x81", "ab"});
  CHECK(texts_of(*tokenizer, tokenizer->encode("abc", false, false)) ==
        Texts{"\xE2\x96\x81", "abc"});
  CHECK(texts_of(*tokenizer, tokenizer->encode("axyb", false, false)) ==
        Texts{"\xE2\x96\x81", "a", "<unk>", "b"});
  CHECK(texts_of(*tokenizer, tokenizer->encode("<s>a", false, true)) ==
        Texts{"<s>", "\xE2\x96\x81", "a"});
  const auto bytes_meta = toy_unigram(true).metadata();
  const auto bytes = Tokenizer::from_metadata(bytes_meta->get());
  CHECK(texts_of(*bytes, bytes->encode("x", false, false)) == Texts{"\xE2\x96\x81", "<0x78>"});
  CHECK(bytes->decode(bytes->encode("x\xC3\xA9y", false, false), false) == "x\xC3\xA9y");
}

TEST_CASE("WordPiece: the longest piece from the start, else the whole word is unknown") {
  const auto meta = toy_wordpiece().metadata();
  const auto tokenizer = Tokenizer::from_metadata(meta->get());
  const std::string mark = "\xE2\x96\x81";
  CHECK(texts_of(*tokenizer, tokenizer->encode("ABba", false, false)) ==
        Texts{mark + "ab", "b", "a"});
  CHECK(texts_of(*tokenizer, tokenizer->encode("a!\xE4\xBD\xA0"
                                               "b \xC3\xA1",
                                               false, false)) ==
        Texts{mark + "a", mark + "!", mark + "\xE4\xBD\xA0", mark + "b", mark + "a"});
  CHECK(texts_of(*tokenizer, tokenizer->encode("abx a", false, false)) ==
        Texts{"[UNK]", mark + "a"});
  CHECK(tokenizer->encode(std::string(100, 'a'), false, false).size() == 100);
  CHECK(texts_of(*tokenizer, tokenizer->encode(std::string(101, 'a'), false, false)) ==
        Texts{"[UNK]"});
  // What is no UTF-8 is dropped, as the reference drops U+FFFD.
  CHECK(texts_of(*tokenizer, tokenizer->encode("a\xFF"
                                               "b",
                                               false, false)) == Texts{mark + "ab"});
}

}  // namespace nibble::test
