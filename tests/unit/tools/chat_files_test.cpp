// Saved conversations and the history file: round trips, and files that are something else.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tools/chat_file.h"
#include "tools/history_file.h"
#include "tools/line_editor.h"

using namespace nibble;

namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/nibble_test_XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

ErrorCode parse_error(const std::string& json) {
  try {
    parse_chat(json, "x.json");
  } catch (const Error& e) {
    CHECK(e.message().compare(0, 7, "x.json:") == 0);
    return e.code();
  }
  return ErrorCode::internal;
}

}  // namespace

TEST_CASE("a conversation survives its file") {
  SavedChat chat;
  chat.model = "m.gguf";
  chat.system = "Be \"brief\".\n";
  chat.messages = {{"user", "a\nb 🙂"}, {"assistant", ""}, {"user", "\x1b[0m"}};
  const Folder folder;
  save_chat(chat, folder.path + "/c.json");
  std::ifstream file(folder.path + "/c.json");
  const std::string json((std::istreambuf_iterator<char>(file)), {});
  const SavedChat back = parse_chat(json, "c.json");
  CHECK(back.model == chat.model);
  CHECK(back.system == chat.system);
  REQUIRE(back.messages.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(back.messages[i].role == chat.messages[i].role);
    CHECK(back.messages[i].content == chat.messages[i].content);
  }
}

TEST_CASE("other files are refused, each truncation too") {
  const std::string good = format_chat({"m", "s", {{"user", "hi"}, {"assistant", "ho"}}});
  CHECK_NOTHROW(parse_chat(good, "x.json"));
  for (size_t n = 0; n + 2 < good.size(); ++n) {
    CHECK(parse_error(good.substr(0, n)) == ErrorCode::bad_file);
  }
  for (const char* bad :
       {"", "[]", "null", "{}", R"({"format": "nibble chat"})",
        R"({"format": 1, "version": 1, "model": "", "system": "", "messages": []})",
        R"({"format": "nibble chat", "version": 2, "model": "", "system": "", "messages": []})",
        R"({"format": "nibble chat", "version": 1, "model": "", "system": 3, "messages": []})",
        R"({"format": "nibble chat", "version": 1, "model": "", "system": "", "messages": [1]})",
        R"({"format": "nibble chat", "version": 1, "model": "", "system": "", "messages":
           [{"role": "assistant", "content": ""}]})"}) {
    INFO(bad);
    CHECK(parse_error(bad) == ErrorCode::bad_file);
  }
  CHECK(parse_error(std::string(100000, '[')) == ErrorCode::bad_file);
}

TEST_CASE("history lines hold any message") {
  for (const char* message :
       {"plain", "two\nlines", "back\\slash", "\\n", "\\\n\\", "é 🙂", ""}) {
    const std::string line = encode_history(message);
    CHECK(line.find('\n') == std::string::npos);
    CHECK(decode_history(line) == message);
  }
}

TEST_CASE("the history file is private, grows, and is shortened") {
  const Folder folder;
  const std::string path = folder.path + "/deep/er/history";
  HistoryFile history(path);
  CHECK(history.load(10).empty());
  for (int i = 0; i < 25; ++i) CHECK(history.append("message\n" + std::to_string(i)).empty());
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  const std::vector<std::string> last = HistoryFile(path).load(10);
  REQUIRE(last.size() == 10);
  CHECK(last.front() == "message\n15");
  CHECK(last.back() == "message\n24");
  CHECK(HistoryFile(path).load(1000).size() == 10);  // 25 > 2 * 10: shortened
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("a history that cannot be kept says so once") {
  HistoryFile history("/dev/null/history");
  CHECK_FALSE(history.append("x").empty());
  CHECK(history.append("y").empty());
  CHECK(HistoryFile("").append("x").empty());
}

TEST_CASE("pastes and wide characters") {
  CHECK(clean_paste(L"a\r\nb\rc\n\n") == L"a\nb\nc");
  CHECK(clean_paste(L"\x1b[31mred\x07\tx\x7f\x9b") == L"[31mred\tx");
  for (const char* text : {"", "abc", "é日🙂\n"}) CHECK(to_utf8(to_wide(text)) == text);
  CHECK(to_utf8(to_wide("\xff")) == "\xEF\xBF\xBD");
  CHECK(to_utf8(std::wstring(1, static_cast<wchar_t>(0xD800))) == "\xEF\xBF\xBD");
}
