// Converting under every failure of the system: the old file stays byte-identical, nothing is left
// in the folder, and the error names path and cause.
#include <cerrno>
#include <cstring>

#include "formats/io/error.h"
#include "runtime/convert/convert.h"
#include "tests/fault/faults.h"
#include "tests/support/catch.h"
#include "tests/support/convert_fixtures.h"

using namespace nibble;
using Catch::Matchers::Contains;
using faults::Call;
using faults::Plan;
using Names = std::set<std::string>;

namespace {

constexpr const char* kOut = "out.gguf";

void convert(const test::TempDir& dir) {
  ConvertOptions options;
  options.n_threads = 1;  // faults are for one thread at a time
  convert_model(test::convert_fixture("llama_scaled"), dir / kOut, options);
}

std::string good_file() {
  const test::TempDir dir;
  convert(dir);
  return test::read_file(dir / kOut);
}

// All old with an error that names path and cause, or all new. Returns whether the plan struck.
bool check_outcome(const std::string& good, const Plan& plan) {
  INFO(faults::name(plan.call) << " number " << plan.nth << ": " << std::strerror(plan.error));
  const test::TempDir dir;
  test::write_file(dir / kOut, "the old file");
  std::string message;
  bool struck = false;
  {
    const faults::Armed armed(plan);
    try {
      convert(dir);
    } catch (const Error& error) {
      message = error.message();
    }
    struck = armed.struck();
  }
  CHECK(dir.names() == Names{kOut});
  const bool is_new =
      message.empty() || message.find("the new file is in place") != std::string::npos;
  CHECK(test::read_file(dir / kOut) == (is_new ? good : "the old file"));
  if (!message.empty()) {
    CHECK(struck);
    CHECK_THAT(message, Contains(std::strerror(plan.error)) &&
                            (Contains(dir.path()) || Contains("llama_scaled")));
  }
  return struck;
}

}  // namespace

TEST_CASE("each system call of a conversion fails") {
  const std::string good = good_file();
  for (const Call call :
       {Call::open, Call::openat, Call::write, Call::fsync, Call::ftruncate, Call::fallocate,
        Call::fchmod, Call::fcntl, Call::renameat, Call::close, Call::mmap, Call::fstat}) {
    for (const int error : {EIO, ENOSPC}) {
      int nth = 1;
      while (check_outcome(good, {call, nth, error == EIO, error, false})) {
        ++nth;
        REQUIRE(nth < 1000);
      }
      INFO(faults::name(call));
      CHECK(nth > 1);
    }
  }
  check_outcome(good, {Call::write, 1, false, EINTR, false});
  for (int nth = 1; nth < 4; ++nth) check_outcome(good, {Call::write, nth, false, 0, true});
}

TEST_CASE("allocations of a conversion fail") {
  const std::string good = good_file();
  bool struck = true;
  int failures = 0;
  // Planning makes some thousand allocations; every 23rd is enough.
  for (long nth = 1; struck; nth += 23) {
    const test::TempDir dir;
    test::write_file(dir / kOut, "the old file");
    bool failed = false;
    {
      const faults::NoMemory armed(nth, false);
      try {
        convert(dir);
      } catch (const std::bad_alloc&) {
        failed = true;
      } catch (const Error& error) {
        failed = error.code() == ErrorCode::out_of_memory;
      }
      struck = armed.struck();
    }
    CHECK(failed == struck);
    failures += failed ? 1 : 0;
    CHECK(test::read_file(dir / kOut) == (failed ? "the old file" : good));
    CHECK(dir.names() == Names{kOut});
  }
  CHECK(failures > 10);
}
