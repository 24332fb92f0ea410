#pragma once
// Models that think before they answer write it between <think> and </think>. This tells the two
// apart while the text comes, and takes the marks and the empty lines around them away.
#include <functional>
#include <string>
#include <string_view>

namespace nibble {

class ReasoningSplitter {
 public:
  using Emit = std::function<void(bool reasoning, std::string_view text)>;

  /// inside: the prompt ends behind <think>, so that the answer begins with thoughts.
  explicit ReasoningSplitter(bool inside = false) : state_(inside ? State::inside : State::begin) {}

  /// All text is the answer.
  static ReasoningSplitter none() {
    ReasoningSplitter out;
    out.state_ = State::answer;
    return out;
  }

  /// Whole code points. Emits what is certain.
  void push(std::string_view text, const Emit& emit);
  /// The text ends here: emits what was held back.
  void finish(const Emit& emit);

  /// Whether a prompt ends behind <think>.
  static bool opened_by(std::string_view prompt) noexcept;

 private:
  enum class State {
    begin,   // nothing but white space so far
    inside,  // thoughts
    behind,  // white space after </think>
    answer,
  };
  bool step(bool last, const Emit& emit);

  State state_;
  std::string held_;
};

}  // namespace nibble
