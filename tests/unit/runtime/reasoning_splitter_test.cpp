// Thoughts apart from answers, however the text is cut.
#include "runtime/engine/reasoning_splitter.h"

#include "tests/support/catch.h"

using namespace nibble;

namespace {

struct Split {
  std::string thoughts;
  std::string answer;
  bool operator==(const Split&) const = default;
};

Split split(std::string_view text, size_t step, bool inside = false) {
  Split out;
  const auto emit = [&](bool reasoning, std::string_view part) {
    CHECK_FALSE(part.empty());
    (reasoning ? out.thoughts : out.answer) += part;
  };
  ReasoningSplitter splitter(inside);
  for (size_t i = 0; i < text.size(); i += step) splitter.push(text.substr(i, step), emit);
  splitter.finish(emit);
  return out;
}

}  // namespace

TEST_CASE("thoughts are what stands between the marks") {
  for (size_t step = 1; step < 40; ++step) {
    CHECK(split("<think>a < b\n</think>\n\nyes", step) == Split{"a < b\n", "yes"});
    CHECK(split("\n<think>a</think>yes </think>", step) == Split{"a", "yes </think>"});
    CHECK(split("a</thin</think>yes", step, true) == Split{"a</thin", "yes"});
    CHECK(split(" <thin air", step) == Split{"", " <thin air"});
    CHECK(split("yes <think>no</think>", step) == Split{"", "yes <think>no</think>"});
    CHECK(split("<think>never done</th", step) == Split{"never done</th", ""});
    CHECK(split("<think></think>", step) == Split{"", ""});
    CHECK(split("<thi", step) == Split{"", "<thi"});
    CHECK(split("", step) == Split{"", ""});
  }
}

TEST_CASE("a prompt may have opened the thoughts") {
  CHECK(ReasoningSplitter::opened_by("<|assistant|><think>\n"));
  CHECK_FALSE(ReasoningSplitter::opened_by("<think></think>\n"));
  CHECK_FALSE(ReasoningSplitter::opened_by(""));
}
