#pragma once
// Ends a stream of text before the first stop string, however tokens cut it. Text that may be the
// beginning of a stop string is held back until it is clear.
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

class StopMatcher {
 public:
  /// Errors: bad_argument (a stop string is empty or not UTF-8).
  explicit StopMatcher(std::vector<std::string> stops);

  /// Appends whole code points; returns the text that is certain to stand before any stop string.
  /// The stop string that is complete first counts, the longest of those that end together.
  std::string push(std::string_view text);
  bool stopped() const noexcept { return stopped_; }
  /// What is still held back when the stream ends without a stop string.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;  // shorter than the longest stop string, between calls
  bool stopped_ = false;
};

}  // namespace nibble
