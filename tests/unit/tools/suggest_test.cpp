// Edit distances worked out by hand, and what counts as near.
#include "tools/suggest.h"

#include "tests/support/catch.h"

using namespace nibble;

TEST_CASE("edit distance counts insertions, deletions, substitutions and swaps") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("chat", "caht") == 1);
  CHECK(edit_distance("abcd", "badc") == 2);
  CHECK(edit_distance("same", "same") == 0);
}

TEST_CASE("the nearest word is near or absent") {
  const std::vector<std::string> words = {"--temp", "--top-k", "--top-p", "--threads"};
  CHECK(nearest("--tmep", words) == "--temp");
  CHECK(nearest("--topk", words) == "--top-k");
  CHECK(nearest("--thread", words) == "--threads");
  CHECK(nearest("--th", words) == "--threads");  // a beginning
  CHECK(nearest("--frobnicate", words).empty());
  CHECK(nearest("", words).empty());
  CHECK(nearest("x", {}).empty());
}
