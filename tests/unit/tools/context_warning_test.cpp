// Each mark is reported once, whichever way the context fills.
#include "tools/context_warning.h"

#include "tests/support/catch.h"

using namespace nibble;

namespace {

constexpr OverflowPolicy kDrop = OverflowPolicy::drop;

}  // namespace

TEST_CASE("80 % and 95 % are said once each") {
  ContextWarning warning;
  CHECK(warning.after_answer(0, 200, kDrop).empty());
  CHECK(warning.after_answer(159, 200, kDrop).empty());
  CHECK(warning.after_answer(160, 200, kDrop) ==
        "[context 80 % full: 160 of 200 tokens; what does not fit drops the oldest turns]");
  CHECK(warning.after_answer(189, 200, kDrop).empty());
  CHECK(warning.after_answer(190, 200, OverflowPolicy::error) ==
        "[context 95 % full: 190 of 200 tokens; what does not fit is refused, /clear starts anew]");
  CHECK(warning.after_answer(200, 200, kDrop).empty());
  CHECK(warning.after_answer(20, 200, kDrop).empty());  // turns were dropped
  CHECK(warning.after_answer(170, 200, kDrop).empty());
  warning.reset();
  CHECK_FALSE(warning.after_answer(170, 200, kDrop).empty());
}

TEST_CASE("a jump over both marks is one note") {
  ContextWarning warning;
  CHECK(warning.after_answer(199, 200, kDrop).find("99 %") != std::string::npos);
  CHECK(warning.after_answer(170, 200, kDrop).empty());
  CHECK(warning.after_answer(199, 200, kDrop).empty());
}
