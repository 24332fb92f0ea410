// The marks count what the session holds, which is what the figures after an answer show.
#include "tools/context_warning.h"

#include <fmt/format.h>

#include <iterator>

namespace nibble {
namespace {

constexpr int64_t kMarks[] = {80, 95};  // percent

}  // namespace

std::string ContextWarning::after_answer(int64_t used, int64_t size, OverflowPolicy overflow) {
  int reached = 0;
  // used * 100 >= mark * size; contexts are far below 2^56.
  while (reached < std::ssize(kMarks) && used * 100 >= kMarks[reached] * size) ++reached;
  if (reached <= passed_) return {};
  passed_ = reached;
  return fmt::format("[context {} % full: {} of {} tokens; {}]", used * 100 / size, used, size,
                     overflow == OverflowPolicy::drop
                         ? "what does not fit drops the oldest turns"
                         : "what does not fit is refused, /clear starts anew");
}

}  // namespace nibble
