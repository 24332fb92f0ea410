// The pre-type table: every pattern against PyPI tokenizers (tests/oracle/tokenizer_pre_types.py),
// with the JIT and without; long runs on a small stack.
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "runtime/text/pre_types.h"
#include "runtime/text/splitter.h"
#include "tests/support/catch.h"
#include "tests/support/small_stack.h"

namespace nibble::test {
namespace {

// Lengths of the pieces in code points.
std::vector<size_t> words(const Splitter& splitter, const std::string& text) {
  std::vector<size_t> lengths;
  Splitter::Cursor cursor(splitter, text);
  std::string_view piece;
  size_t at = 0;
  while (cursor.next(piece)) {
    REQUIRE(piece.data() == text.data() + at);
    at += piece.size();
    size_t n = 0;
    for (const char c : piece) n += (static_cast<uint8_t>(c) & 0xC0) != 0x80 ? 1 : 0;
    lengths.push_back(n);
  }
  REQUIRE(at == text.size());
  return lengths;
}

}  // namespace

TEST_CASE("pre-types: words equal those of PyPI tokenizers") {
  std::ifstream in(std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/text/pre_types.json");
  REQUIRE(in.good());
  const nlohmann::json fixture = nlohmann::json::parse(in);
  for (const auto& one : fixture["cases"]) {
    const auto name = one["name"].get<std::string>();
    const PreType* pre = find_pre_type(name);
    REQUIRE(pre != nullptr);
    const Splitter with_jit(pre->patterns), without_jit(pre->patterns, false);
    for (size_t i = 0; i < one["words"].size(); ++i) {
      const auto text = fixture["texts"][i].get<std::string>();
      const auto expected = one["words"][i].get<std::vector<size_t>>();
      CAPTURE(name, text);
      CHECK(words(with_jit, text) == expected);
      CHECK(words(without_jit, text) == expected);
    }
  }
}

TEST_CASE("pre-types: names are unique, every pattern compiles") {
  std::set<std::string_view> names;
  for (const PreType& row : pre_types()) {
    CAPTURE(row.name);
    CHECK(names.insert(row.name).second);
    CHECK_NOTHROW(Splitter(row.patterns));
  }
  CHECK(find_pre_type("no such type") == nullptr);
}

// A pattern that scans a run again from each of its positions would take hours here.
TEST_CASE("pre-types: long runs take linear time and a small stack") {
  constexpr size_t kBytes = size_t{1} << 16;
  const std::string runs[] = {"A",           "a",        "\xE4\xBD\xA0",
                              "7",           " ",        "\n",
                              "\t",          "\xCC\x81", "!",
                              "'",           "\r\n",     "\xF0\x9F\x91\xA9\xE2\x80\x8D",
                              "\xC2\xA0",    "IMG",      " \n",
                              "'s",          "aB",       "\xEF\xBC\x81",
                              "\xEA\xB0\x80"};
  const std::string ends[] = {"", "a", "\xD8\xA7", "1", "\n"};
  std::set<const std::string_view*> seen;
  for (const PreType& row : pre_types()) {
    if (!seen.insert(row.patterns.data()).second) continue;
    const Splitter splitter(row.patterns);
    size_t total = 0, expected = 0;
    on_small_stack([&] {
      for (const std::string& run : runs) {
        std::string text;
        while (text.size() < kBytes) text += run;
        for (const std::string& end : ends) {
          const std::string whole = text + end;
          Splitter::Cursor cursor(splitter, whole);
          std::string_view piece;
          while (cursor.next(piece)) total += piece.size();
          expected += whole.size();
        }
      }
    });
    CAPTURE(row.name);
    CHECK(total == expected);
  }
}

// Regression: PCRE2's own limit of ten million steps ended the split of a longer run of spaces.
TEST_CASE("pre-types: a run beyond PCRE2's match limit") {
  const std::string text(size_t{24} << 20, ' ');
  for (const bool use_jit : {true, false}) {
    const Splitter splitter(find_pre_type("llama-bpe")->patterns, use_jit);
    CHECK(words(splitter, text) == std::vector<size_t>{text.size()});
  }
}

}  // namespace nibble::test
