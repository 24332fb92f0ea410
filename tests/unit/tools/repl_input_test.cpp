// Typed lines to messages and commands.
#include "tools/repl_input.h"

#include <deque>

#include "tests/support/catch.h"
#include "tools/repl_commands.h"

using namespace nibble;

namespace {

/// Lines from a list; "^C" is an interrupt.
class Script : public LineSource {
 public:
  explicit Script(std::deque<std::string> lines) : lines_(std::move(lines)) {}
  ReadResult read(PromptKind kind) override {
    kinds.push_back(kind);
    if (lines_.empty()) return {ReadStatus::end, {}};
    std::string line = std::move(lines_.front());
    lines_.pop_front();
    if (line == "^C") return {ReadStatus::interrupted, {}};
    return {ReadStatus::line, std::move(line)};
  }
  void remember(const std::string&) override {}
  std::vector<PromptKind> kinds;

 private:
  std::deque<std::string> lines_;
};

Typed typed(std::deque<std::string> lines) {
  Script script(std::move(lines));
  return read_message(script);
}

ReplInput parsed(const std::string& text, const std::string& existing_path = "/etc/passwd") {
  return parse_input(
      text, [](const std::string& name) { return find_repl_command(name) != nullptr; },
      [&](const std::string& path) { return path == existing_path; });
}

}  // namespace

TEST_CASE("a line is a message") {
  const Typed t = typed({"hello", "next"});
  CHECK(t.status == ReadStatus::line);
  CHECK(t.text == "hello");
  CHECK_FALSE(t.literal);
  CHECK(typed({}).status == ReadStatus::end);
  CHECK(typed({"^C"}).status == ReadStatus::interrupted);
}

TEST_CASE("a trailing backslash goes on, with the other prompt") {
  Script script({"one\\", "two\\", "three", "four"});
  CHECK(read_message(script).text == "one\ntwo\nthree");
  CHECK(script.kinds == std::vector<PromptKind>{PromptKind::message, PromptKind::continuation,
                                                PromptKind::continuation});
  CHECK(typed({"one\\"}).text == "one");
  CHECK(typed({"one\\", "^C"}).status == ReadStatus::interrupted);
}

TEST_CASE("a block keeps its lines and is never a command") {
  const Typed t = typed({"\"\"\"", "/help", "  indented\\", "\"\"\"", "next"});
  CHECK(t.text == "/help\n  indented\\");
  CHECK(t.literal);
  CHECK(t.original == "\"\"\"\n/help\n  indented\\\n\"\"\"");
  CHECK(typed({"\"\"\"one line\"\"\""}).text == "one line");
  CHECK(typed({"\"\"\"first", "last\"\"\""}).text == "first\nlast");
  CHECK(typed({"\"\"\"", "never closed"}).text == "never closed");
  CHECK(typed({"\"\"\"", "x", "^C"}).status == ReadStatus::interrupted);
  // A pasted block arrives in one piece.
  CHECK(typed({"\"\"\"\na\nb\n\"\"\""}).text == "a\nb");
}

TEST_CASE("commands, their arguments, and what only looks like one") {
  CHECK(parsed("  \n").kind == InputKind::empty);
  CHECK(parsed("hello /help").kind == InputKind::text);
  const ReplInput set = parsed(" /set  parameter temperature 0.5 ");
  CHECK(set.kind == InputKind::command);
  CHECK(set.command == "set");
  CHECK(set.arguments == "parameter temperature 0.5");
  CHECK(parsed("/?").command == "?");
  CHECK(parsed("//help me").text == "/help me");
  CHECK(parsed("//help me").kind == InputKind::text);
  CHECK(parsed("/etc/passwd is what?").kind == InputKind::text);
  CHECK(parsed("/etc/shadow is what?").kind == InputKind::command);
  CHECK(parsed("/help", "/help").kind == InputKind::command);  // a command before a path
}

TEST_CASE("every command is found under each of its names, and completes") {
  for (const ReplCommand& command : repl_commands()) {
    const std::string first =
        std::string(command.names).substr(0, std::string(command.names).find(' '));
    CHECK(find_repl_command(first) == &command);
  }
  for (const char* name : {"help", "?", "clear", "set", "show", "system", "regen", "undo", "save",
                           "load", "read", "stats", "context", "continue", "exit", "bye", "quit"}) {
    INFO(name);
    CHECK(find_repl_command(name) != nullptr);
  }
  CHECK(find_repl_command("") == nullptr);
  CHECK(complete_line("/con") == std::vector<std::string>{"/continue ", "/context "});
  CHECK(complete_line("hello").empty());
}
