// See stop_matcher.h. Stop strings are few and short, so every end of text is compared with each.
#include "runtime/engine/stop_matcher.h"

#include <algorithm>

#include "formats/io/error.h"
#include "runtime/text/utf8.h"

namespace nibble {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) {
    if (stop.empty()) fail(ErrorCode::bad_argument, "stop string: expected some text, got none");
    // Then a match never begins inside a code point.
    if (utf8_valid_prefix(stop) != stop.size()) {
      fail(ErrorCode::bad_argument, "stop string: expected UTF-8, got an invalid byte at {}",
           utf8_valid_prefix(stop));
    }
  }
}

std::string StopMatcher::push(std::string_view text) {
  if (stopped_) return {};
  const size_t old = held_.size();  // a match ends behind it
  held_ += text;
  for (size_t end = old + 1; end <= held_.size(); ++end) {
    const std::string_view seen = std::string_view(held_).substr(0, end);
    size_t longest = 0;
    for (const std::string& stop : stops_) {
      if (seen.ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) {
      stopped_ = true;
      held_.resize(end - longest);
      return std::move(held_);
    }
  }
  size_t keep = 0;  // the longest end of held_ that begins a stop string
  for (const std::string& stop : stops_) {
    size_t n = std::min(stop.size() - 1, held_.size());
    while (n > keep && !std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) --n;
    keep = std::max(keep, n);
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return out;
}

std::string StopMatcher::finish() {
  std::string rest;
  if (!stopped_) rest.swap(held_);
  return rest;
}

}  // namespace nibble
