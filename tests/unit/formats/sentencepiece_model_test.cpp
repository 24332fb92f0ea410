// tokenizer.model: one that SentencePiece itself wrote (tests/oracle/tiny_hf.py), and broken ones.
#include "formats/sentencepiece_model.h"

#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;

namespace {

SentencePieceModel read(const std::string& text) {
  return read_sentencepiece_model(std::as_bytes(std::span(text)), "t.model");
}

std::string refusal(const std::string& text) {
  const std::vector<char> exact(text.begin(), text.end());
  try {
    (void)read_sentencepiece_model(std::as_bytes(std::span(exact)), "t.model");
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_file);
    return error.message();
  }
}

// Fields by hand: a piece {text, score, type} and what stands around it.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string number(int number, int value) {
  return {static_cast<char>(number << 3), static_cast<char>(value)};
}

}  // namespace

TEST_CASE("a model that SentencePiece wrote is read") {
  const std::string bytes = test::read_file(
      std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/convert/mistral_window/tokenizer.model");
  const SentencePieceModel model = read(bytes);
  REQUIRE(model.pieces.size() == 380);
  CHECK(model.kind == SentencePieceModel::Kind::bpe);
  CHECK(model.pieces[0].text == "<unk>");
  CHECK(model.pieces[0].type == 2);
  CHECK(model.pieces[1].type == 3);
  CHECK(model.pieces[3].text == "<tool>");
  CHECK(model.pieces[3].type == 4);
  CHECK(model.pieces[4].text == "<0x00>");
  CHECK(model.pieces[4].type == 6);
  CHECK(model.pieces[260].score == 0.0f);
  CHECK(model.pieces[261].score == -1.0f);
  CHECK(model.unk == 0);
  CHECK(model.bos == 1);
  CHECK(model.eos == 2);
  CHECK(model.pad == -1);
  CHECK(model.normalizer == "identity");
  CHECK(model.chars_map.empty());
  CHECK(model.add_dummy_prefix);
  CHECK_FALSE(model.remove_extra_spaces);
  // The pieces come first, so most truncations cut one; a cut between fields leaves a shorter
  // model.
  size_t valid = 0;
  for (size_t n = 0; n < bytes.size(); ++n) valid += refusal(bytes.substr(0, n)).empty() ? 1 : 0;
  CHECK(valid <= model.pieces.size() + 8);
}

TEST_CASE("fields that are not known are stepped over, others checked") {
  const std::string piece = field(1, field(1, "ab") + number(3, 1));
  CHECK(read(field(9, "xyz") + number(7, 5) + piece).pieces.size() == 1);
  CHECK(read(piece + field(2, number(3, 2))).kind == SentencePieceModel::Kind::bpe);
  CHECK_THAT(refusal(""), Contains("at least one piece"));
  CHECK_THAT(refusal(field(1, number(3, 7))), Contains("1..6"));
  CHECK_THAT(refusal(field(1, number(3, 0))), Contains("1..6"));
  CHECK_THAT(refusal(piece.substr(0, 3)), Contains("more bytes"));
  CHECK_THAT(refusal(std::string(1, '\x0B')), Contains("wire type"));
  CHECK_THAT(refusal(std::string(1, '\x02')), Contains("field"));
  CHECK_THAT(refusal(std::string(11, '\xFF')), Contains("10 bytes"));
  // A length of 2^63 and more.
  CHECK_THAT(refusal("\x0A" + std::string(9, '\xFF') + "\x01"), Contains("more bytes"));
  CHECK_THAT(refusal(field(1, std::string("\x15\x00\x00\xC0\x7F", 5))), Contains("finite"));
}
