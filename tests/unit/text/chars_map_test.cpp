// The compiled character map: a small one built by hand, and files that are none.
#include "runtime/text/chars_map.h"

#include <cstring>

#include "formats/io/error.h"
#include "tests/support/catch.h"

namespace nibble::test {
namespace {

std::string map_bytes(const std::vector<uint32_t>& units, const std::string& texts) {
  const auto trie_bytes = static_cast<uint32_t>(units.size() * sizeof(uint32_t));
  std::string out(sizeof trie_bytes + trie_bytes, '\0');
  std::memcpy(out.data(), &trie_bytes, sizeof trie_bytes);
  std::memcpy(out.data() + sizeof trie_bytes, units.data(), trie_bytes);
  return out + texts;
}

// A double array of the keys "a" -> "x" and "ab" -> "yz", as Darts lays one out: root at 0 with
// offset 1 (unit 1 ^ 'a'), below each key's unit its value.
std::vector<uint32_t> two_keys() {
  constexpr uint32_t kHasValue = 1u << 8;
  const auto offset = [](uint32_t o) { return o << 10; };
  std::vector<uint32_t> units(512, 0xFFu);
  const uint32_t root = 256, a = root ^ 'a', below_a = 2, b = a ^ below_a ^ 'b', below_b = 4;
  units[0] = offset(root);
  units[a] = 'a' | kHasValue | offset(below_a);
  units[a ^ below_a] = 1u << 31 | 0;  // "x"
  units[b] = 'b' | kHasValue | offset(below_b);
  units[b ^ below_b] = 1u << 31 | 2;  // "yz"
  return units;
}

std::string refusal(const std::string& bytes) {
  try {
    CharsMap(std::as_bytes(std::span(bytes)), "m.gguf");
    return "accepted";
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_file);
    return error.message();
  }
}

}  // namespace

TEST_CASE("character map: the longest entry counts") {
  const std::string bytes = map_bytes(two_keys(), std::string("x\0yz\0", 5));
  const CharsMap map(std::as_bytes(std::span(bytes)), "m.gguf");
  CHECK(map.match("abc").length == 2);
  CHECK(map.match("abc").text == "yz");
  CHECK(map.match("acb").length == 1);
  CHECK(map.match("acb").text == "x");
  CHECK(map.match("b").length == 0);
  CHECK(map.match("").length == 0);
  CHECK(CharsMap().match("a").length == 0);
}

TEST_CASE("character map: files that are none") {
  using Catch::Matchers::Contains;
  const std::string texts("x\0yz\0", 5);
  const std::string good = map_bytes(two_keys(), texts);
  CHECK(refusal(good) == "accepted");
  CHECK_THAT(refusal("abc"), Contains("at least 4 bytes"));
  CHECK_THAT(refusal(good.substr(0, 100)), Contains("inside it"));
  CHECK_THAT(refusal(std::string(8, '\0')), Contains("inside it"));
  CHECK_THAT(refusal(good.substr(0, good.size() - 1)), Contains("zero byte"));
  CHECK_THAT(refusal(map_bytes(two_keys(), std::string(2000, 'x') + '\0')), Contains("1024"));
  // Offsets and values that point anywhere are never followed outside.
  for (uint32_t bits : {0xFFFFFFFFu, 0x7FFFFFFFu, 0x80000161u, 0xFFFFFD61u}) {
    std::vector<uint32_t> units = two_keys();
    for (size_t i = 0; i < units.size(); ++i) {
      units[i] = bits;
      const std::string bytes = map_bytes(units, texts);
      const CharsMap map(std::as_bytes(std::span(bytes)), "m.gguf");
      CHECK(map.match("abab").length <= 4);
    }
  }
}

}  // namespace nibble::test
