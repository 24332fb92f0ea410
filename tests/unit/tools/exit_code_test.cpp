// The exit codes are an interface: each library error has its documented one.
#include "tools/exit_code.h"

#include <algorithm>

#include "tests/support/catch.h"

using namespace nibble;

TEST_CASE("library errors to exit codes") {
  CHECK(static_cast<int>(exit_code_of(ErrorCode::bad_argument)) == 2);
  CHECK(static_cast<int>(exit_code_of(ErrorCode::io)) == 1);
  CHECK(static_cast<int>(exit_code_of(ErrorCode::internal)) == 1);
  CHECK(static_cast<int>(exit_code_of(ErrorCode::out_of_memory)) == 4);
  CHECK(static_cast<int>(exit_code_of(ErrorCode::context_full)) == 5);
  CHECK(static_cast<int>(exit_code_of(ErrorCode::cancelled)) == 130);
  for (const ErrorCode code :
       {ErrorCode::not_found, ErrorCode::io, ErrorCode::bad_file, ErrorCode::unsupported}) {
    CHECK(static_cast<int>(exit_code_of_open(code)) == 3);
  }
  CHECK(static_cast<int>(exit_code_of_open(ErrorCode::cancelled)) == 130);
  CHECK(static_cast<int>(exit_code_of_open(ErrorCode::out_of_memory)) == 4);
}

TEST_CASE("an error is two lines, whatever it quotes") {
  const std::string text = format_error(ExitCode::model, "a\nb\033[2J", "");
  CHECK(std::count(text.begin(), text.end(), '\n') == 2);
  CHECK(text.find('\033') == std::string::npos);
  CHECK(text.compare(0, 7, "error: ") == 0);
  CHECK(text.find("\nhint: ") != std::string::npos);
}
