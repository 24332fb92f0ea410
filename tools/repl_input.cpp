// See repl_input.h.
#include "tools/repl_input.h"

namespace nibble {
namespace {

constexpr std::string_view kFence = "\"\"\"";
constexpr std::string_view kBlank = " \t\r\n";

Typed read_block(LineSource& source, std::string typed, std::string body) {
  size_t end = body.find(kFence);
  while (end == std::string::npos) {
    const ReadResult line = source.read(PromptKind::continuation);
    if (line.status == ReadStatus::interrupted) return {ReadStatus::interrupted, typed, {}, true};
    if (line.status == ReadStatus::end) break;
    body += '\n' + line.text;
    typed += '\n' + line.text;
    end = body.find(kFence);
  }
  std::string text = body.substr(0, end);
  if (end != std::string::npos) text += body.substr(end + kFence.size());
  if (!text.empty() && text.front() == '\n') text.erase(0, 1);
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return {ReadStatus::line, std::move(text), std::move(typed), true};
}

}  // namespace

std::string_view trim(std::string_view text) noexcept {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

Typed read_message(LineSource& source) {
  ReadResult line = source.read(PromptKind::message);
  if (line.status != ReadStatus::line) return {line.status, std::move(line.text), {}, false};
  const std::string_view start = trim(line.text);
  if (start.compare(0, kFence.size(), kFence) == 0) {
    const size_t fence = line.text.find(kFence);
    std::string body = line.text.substr(fence + kFence.size());
    return read_block(source, std::move(line.text), std::move(body));
  }
  std::string text = std::move(line.text);
  std::string typed = text;
  while (!text.empty() && text.back() == '\\') {
    text.pop_back();
    line = source.read(PromptKind::continuation);
    if (line.status == ReadStatus::interrupted) return {ReadStatus::interrupted, typed, {}, false};
    if (line.status == ReadStatus::end) break;
    text += '\n' + line.text;
    typed += '\n' + line.text;
  }
  return {ReadStatus::line, std::move(text), std::move(typed), false};
}

ReplInput parse_input(std::string_view text,
                      const std::function<bool(const std::string&)>& is_command,
                      const std::function<bool(const std::string&)>& path_exists) {
  ReplInput out;
  const std::string_view trimmed = trim(text);
  if (trimmed.empty()) return out;
  out.kind = InputKind::text;
  out.text = text;
  if (trimmed[0] != '/') return out;
  if (trimmed.compare(0, 2, "//") == 0) {
    out.text = trimmed.substr(1);
    return out;
  }
  const size_t end = std::min(trimmed.find_first_of(kBlank), trimmed.size());
  const std::string word(trimmed.substr(0, end));
  const std::string name = word.substr(1);
  if (!is_command(name) && path_exists(word)) return out;
  out.kind = InputKind::command;
  out.text.clear();
  out.command = name;
  out.arguments = trim(trimmed.substr(end));
  return out;
}

}  // namespace nibble
