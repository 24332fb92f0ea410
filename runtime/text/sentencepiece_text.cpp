#include "runtime/text/sentencepiece_text.h"

namespace nibble {

void append_sentencepiece(const Vocab& vocab, int32_t id, bool special, std::string& to) {
  const std::string_view text = vocab.text(id);
  if (vocab.is_hidden(id)) {
    if (special) to += text;
  } else if (vocab.type(id) == TokenType::byte) {
    to += static_cast<char>(*parse_byte_token(text));
  } else if (vocab.type(id) == TokenType::user_defined) {
    to += text;
  } else {
    std::string folded;
    fold_spaces(text, folded);
    to += folded;
  }
}

std::string decode_sentencepiece(const Vocab& vocab, std::span<const int32_t> ids, bool special,
                                 bool prefix) {
  std::string out;
  bool at_start = prefix;
  for (const int32_t id : ids) {
    const size_t begin = out.size();
    append_sentencepiece(vocab, id, special, out);
    if (vocab.type(id) == TokenType::user_defined || vocab.is_hidden(id)) {
      at_start = prefix;
    } else {
      if (at_start && out.size() > begin && out[begin] == ' ') out.erase(begin, 1);
      at_start = false;
    }
  }
  return out;
}

}  // namespace nibble
