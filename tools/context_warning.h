#pragma once
// Says, once each, that the context of a chat is 80 % and 95 % full.
#include <cstdint>
#include <string>

#include "runtime/engine/conversation.h"

namespace nibble {

class ContextWarning {
 public:
  /// After an answer: used of size tokens are taken. The note to show, "" if there is none. A jump
  /// over both marks is one note.
  std::string after_answer(int64_t used, int64_t size, OverflowPolicy overflow);
  /// A new conversation: both marks count again.
  void reset() noexcept { passed_ = 0; }

 private:
  int passed_ = 0;  // marks, of kMarks
};

}  // namespace nibble
