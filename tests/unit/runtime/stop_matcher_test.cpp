#include "runtime/engine/stop_matcher.h"

#include "formats/io/error.h"
#include "tests/support/catch.h"

using namespace nibble;

namespace {

// Where a text ends, the slow way: the first prefix of it that ends with a stop string, without the
// longest such string.
std::string cut(const std::string& text, const std::vector<std::string>& stops, bool* stopped) {
  for (size_t end = 0; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) {
      *stopped = true;
      return text.substr(0, end - longest);
    }
  }
  *stopped = false;
  return text;
}

std::string stream(const std::string& text, size_t step, const std::vector<std::string>& stops,
                   bool* stopped) {
  StopMatcher matcher(stops);
  std::string out;
  for (size_t i = 0; i < text.size(); i += step) out += matcher.push(text.substr(i, step));
  *stopped = matcher.stopped();
  return out + matcher.finish();
}

}  // namespace

TEST_CASE("without stop strings text passes at once") {
  StopMatcher matcher({});
  CHECK(matcher.push("hello") == "hello");
  CHECK(matcher.finish().empty());
  CHECK_FALSE(matcher.stopped());
}

TEST_CASE("only what may begin a stop string is held back") {
  StopMatcher matcher({"\nUser:", "###"});
  CHECK(matcher.push("one\n") == "one");
  CHECK(matcher.push("Us") == "");
  CHECK(matcher.push("ual #") == "\nUsual ");
  CHECK(matcher.push("#") == "");
  CHECK(matcher.push("!") == "##!");
  CHECK(matcher.push("end\nUse") == "end");
  CHECK(matcher.push("r: more") == "");
  CHECK(matcher.stopped());
  CHECK(matcher.push("even more") == "");
  CHECK(matcher.finish() == "");
}

TEST_CASE("what was held back comes out when the stream ends") {
  StopMatcher matcher({"</answer>"});
  CHECK(matcher.push("x </ans") == "x ");
  CHECK(matcher.finish() == "</ans");
}

TEST_CASE("stop strings that overlap themselves and each other") {
  bool stopped = false;
  CHECK(stream("aabaabaab", 1, {"aabaaab", "baab"}, &stopped) == "aa");
  CHECK(stopped);
  CHECK(stream("xabcd", 1, {"abcd", "bc"}, &stopped) == "xa");
  CHECK(stream("xabcd", 5, {"abcd", "bc"}, &stopped) == "xa");
  CHECK(stream("xabc", 4, {"c", "abc", "bc"}, &stopped) == "x");
}

TEST_CASE("the cut does not depend on token borders") {
  // Every text of 9 letters over {a, b}, every width of piece.
  const std::vector<std::vector<std::string>> sets = {
      {"aba"}, {"aab", "ba"}, {"abab", "bb"}, {"aaaa"}, {"b", "ab"}, {"babba", "abba", "bbb"}};
  for (const auto& stops : sets) {
    for (int bits = 0; bits < 512; ++bits) {
      std::string text;
      for (int i = 0; i < 9; ++i) text += (bits >> i & 1) != 0 ? 'b' : 'a';
      bool expected_stop = false;
      const std::string expected = cut(text, stops, &expected_stop);
      for (size_t step = 1; step <= 9; ++step) {
        bool stopped = false;
        REQUIRE(stream(text, step, stops, &stopped) == expected);
        REQUIRE(stopped == expected_stop);
      }
    }
  }
}

TEST_CASE("stop strings that are empty or not UTF-8 are refused") {
  CHECK_THROWS_AS(StopMatcher({"ok", ""}), Error);
  CHECK_THROWS_AS(StopMatcher({"\xA9"}), Error);
  CHECK_NOTHROW(StopMatcher({"é"}));
}
