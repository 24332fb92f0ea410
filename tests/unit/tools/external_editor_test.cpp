// With editors that are shell commands: what comes back, what is left behind.
#include "tools/external_editor.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"
#include "tools/exit_code.h"

using namespace nibble;

namespace {

/// TMPDIR is a folder of the test's own while it lives.
class OwnTemporaryFolder {
 public:
  OwnTemporaryFolder() { ::setenv("TMPDIR", folder_.path().c_str(), 1); }
  ~OwnTemporaryFolder() { ::unsetenv("TMPDIR"); }
  bool empty() const { return std::filesystem::is_empty(folder_.path()); }

 private:
  test::TempDir folder_;
};

std::string edited(const std::string& text, const std::string& command) {
  return edit_text(text, command, STDERR_FILENO);
}

std::string problem_of(const std::string& command) {
  try {
    edited("text", command);
  } catch (const CommandError& e) {
    CHECK(e.code() == ExitCode::runtime);
    return e.message();
  }
  return {};
}

}  // namespace

TEST_CASE("the editor's text comes back, without newlines at its end") {
  const OwnTemporaryFolder folder;
  CHECK(edited("wörld", "true") == "wörld");
  CHECK(edited("", "true").empty());
  CHECK(edited("one\ntwo", "sed -i s/one/1/") == "1\ntwo");  // an editor with arguments
  CHECK(edited("x", "printf 'a\\r\\n\\n' >") == "a");
  CHECK(edited("x", "rm -f /nonexistent; cp /dev/null").empty());
  CHECK(folder.empty());
}

TEST_CASE("only the user can read the file") {
  const OwnTemporaryFolder folder;
  CHECK(edited("x", "f() { m=$(stat -c %a \"$1\"); echo $m > \"$1\"; }; f") == "600");
}

TEST_CASE("an editor that fails changes nothing and leaves nothing") {
  const OwnTemporaryFolder folder;
  CHECK(problem_of("false") == "editor: false: ended with exit code 1");
  CHECK(problem_of("kill -9 $$;").find("ended by signal 9") != std::string::npos);
  CHECK(problem_of("/nonexistent/editor 2>/dev/null").find("exit code 127") != std::string::npos);
  CHECK(problem_of("rm").find("cannot open") != std::string::npos);
  CHECK(folder.empty());
  ::setenv("TMPDIR", "/nonexistent", 1);
  CHECK(problem_of("true").find("cannot create") != std::string::npos);
}

TEST_CASE("VISUAL comes before EDITOR, both before vi") {
  ::unsetenv("VISUAL");
  ::unsetenv("EDITOR");
  CHECK(editor_command() == "vi");
  ::setenv("EDITOR", "ed", 1);
  CHECK(editor_command() == "ed");
  ::setenv("VISUAL", "code --wait", 1);
  CHECK(editor_command() == "code --wait");
  ::setenv("VISUAL", "", 1);  // empty is not set
  CHECK(editor_command() == "ed");
  ::unsetenv("VISUAL");
  ::unsetenv("EDITOR");
}
