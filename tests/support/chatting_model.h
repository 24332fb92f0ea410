#pragma once
// A toy model that chats, what to ask it through the C API, and a callback that listens.
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/api/nibble.h"
#include "tests/support/toy_model.h"

namespace nibble::test {

// A toy model that chats: each message is "[role]content", the answer begins behind "[a]".
inline std::string chatting_model() {
  bool done = false;
  return toy_model("llama", {}, [&](GgufBuilder& b, std::string_view, const std::string&) {
    if (!done) {
      b.add_string("tokenizer.chat_template",
                   "{% for m in messages %}[{{ m.role[0] }}]{{ m.content }}"
                   "{% if m.role == 'assistant' %}</s>{% endif %}"
                   "{% endfor %}{% if add_generation_prompt %}[a]{% endif %}");
      b.add_string("general.name", "toy");
    }
    done = true;
    return false;
  });
}

inline constexpr nibble_option kGreedy[] = {
    {"temp", "0"}, {"predict", "12"}, {"threads", "2"}, {nullptr, nullptr}};

struct Heard {
  std::string text;
  std::vector<int32_t> kinds;
  int answer = 0;  // what the callback returns
};

inline int hear(const nibble_event* event, void* user) {
  auto& heard = *static_cast<Heard*>(user);
  heard.kinds.push_back(event->kind);
  if (event->kind == NIBBLE_EVENT_TEXT) heard.text.append(event->text, event->text_size);
  if ((event->result != nullptr) != (event->kind == NIBBLE_EVENT_DONE)) {
    throw std::logic_error("a result belongs to DONE and to nothing else");
  }
  return event->kind == NIBBLE_EVENT_TEXT ? heard.answer : 0;
}

inline constexpr nibble_message kQuestion[] = {{"user", "the heat"}};

}  // namespace nibble::test
