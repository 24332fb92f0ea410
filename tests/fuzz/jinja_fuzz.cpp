// Chat templates: compile and render whatever comes. The input is a template and, behind a zero
// byte, the content of a message. An Error is a good answer; a crash, a hang, an empty or unmerged
// segment are findings.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "formats/io/error.h"
#include "runtime/text/chat.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t zero = std::min(input.find('\0'), input.size());
  const std::string_view source = input.substr(0, zero);
  const std::string content(input.substr(std::min(zero + 1, input.size())));
  const nibble::ChatMessage messages[] = {
      {"system", "be kind"}, {"user", content}, {"assistant", " Hi! "}, {"user", "<|im_end|>"}};
  nibble::ChatOptions options;
  options.bos_token = "<s>";
  options.eos_token = "</s>";
  options.date = "2026-11-22";
  options.variables = {{"d", R"({"b": [1, 2.5, null], "a": {"c": "x"}, "n": true})"}};
  try {
    const nibble::ChatTemplate chat = nibble::ChatTemplate::parse(source);
    bool previous = false;
    bool first = true;
    for (const nibble::PromptSegment& segment : chat.render(messages, options)) {
      if (segment.text.empty() || (!first && segment.from_template == previous)) __builtin_trap();
      previous = segment.from_template;
      first = false;
    }
  } catch (const nibble::Error&) {
  }
  return 0;
}
