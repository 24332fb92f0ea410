#include "runtime/engine/reasoning_splitter.h"

#include <algorithm>

namespace nibble {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";
constexpr std::string_view kSpace = " \t\r\n";

/// Bytes at the end of text that may be the beginning of mark.
size_t partial_mark(std::string_view text, std::string_view mark) noexcept {
  for (size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n) {
    if (text.ends_with(mark.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

bool ReasoningSplitter::opened_by(std::string_view prompt) noexcept {
  const size_t end = prompt.find_last_not_of(kSpace);
  return end != std::string_view::npos && prompt.substr(0, end + 1).ends_with(kOpen);
}

/// One step as far as what is held allows. False: nothing more to do.
bool ReasoningSplitter::step(bool last, const Emit& emit) {
  switch (state_) {
    case State::begin: {
      const size_t first = held_.find_first_not_of(kSpace);
      const std::string_view rest =
          first == std::string::npos ? std::string_view() : std::string_view(held_).substr(first);
      if (rest.starts_with(kOpen)) {
        held_.erase(0, first + kOpen.size());
        state_ = State::inside;
        return true;
      }
      if (kOpen.starts_with(rest) && !last) return false;
      state_ = State::answer;
      return true;
    }
    case State::inside: {
      if (const size_t close = held_.find(kClose); close != std::string::npos) {
        if (close > 0) emit(true, std::string_view(held_).substr(0, close));
        held_.erase(0, close + kClose.size());
        state_ = State::behind;
        return true;
      }
      const size_t keep = last ? 0 : partial_mark(held_, kClose);
      const size_t n = held_.size() - keep;
      if (n > 0) emit(true, std::string_view(held_).substr(0, n));
      held_.erase(0, n);
      return false;
    }
    case State::behind: {
      const size_t first = held_.find_first_not_of(kSpace);
      if (first == std::string::npos) {
        held_.clear();
        return false;
      }
      held_.erase(0, first);
      state_ = State::answer;
      return true;
    }
    case State::answer:
      if (!held_.empty()) emit(false, held_);
      held_.clear();
      return false;
  }
  return false;
}

void ReasoningSplitter::push(std::string_view text, const Emit& emit) {
  held_ += text;
  while (step(false, emit)) {
  }
}

void ReasoningSplitter::finish(const Emit& emit) {
  while (step(true, emit)) {
  }
}

}  // namespace nibble
