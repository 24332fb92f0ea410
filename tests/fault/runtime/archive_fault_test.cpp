// Archiving a file and unpacking it under every failure of the system: the old file stays
// byte-identical, nothing is left in the folder, and the error names path and cause.
#include <cerrno>
#include <cstring>

#include "formats/io/error.h"
#include "runtime/convert/archive_file.h"
#include "tests/fault/faults.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_bytes.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;
using faults::Call;
using faults::Plan;
using Names = std::set<std::string>;

namespace {

constexpr const char* kOld = "the old file";

void write_archive(const test::TempDir& dir, bool undo) {
  ArchiveFileOptions options;
  options.n_threads = 1;  // faults are for one thread at a time
  if (undo) {
    unarchive_file(dir / "in", dir / "out", options);
  } else {
    archive_file(open_tensor_file(dir / "in"), dir / "out", options);
  }
}

// All old with an error that names path and cause, or all new. Returns whether the plan struck.
bool check_archive(const std::string& in, const std::string& out, bool undo, const Plan& plan) {
  INFO((undo ? "unpack: " : "archive: ")
       << faults::name(plan.call) << " number " << plan.nth << ": " << std::strerror(plan.error));
  const test::TempDir dir;
  test::write_file(dir / "in", in);
  test::write_file(dir / "out", kOld);
  std::string message;
  bool struck = false;
  {
    const faults::Armed armed(plan);
    try {
      write_archive(dir, undo);
    } catch (const Error& error) {
      message = error.message();
    }
    struck = armed.struck();
  }
  CHECK(dir.names() == Names{"in", "out"});
  CHECK(test::read_file(dir / "in") == in);
  const bool is_new =
      message.empty() || message.find("the new file is in place") != std::string::npos;
  CHECK(test::read_file(dir / "out") == (is_new ? out : kOld));
  if (!message.empty()) {
    CHECK(struck);
    CHECK_THAT(message, Contains(std::strerror(plan.error)) && Contains(dir.path()));
  }
  return struck;
}

}  // namespace

TEST_CASE("archives: every call that fails leaves the old file or the whole new one") {
  const test::TempDir dir;
  test::write_file(dir / "plain", test::sample_gguf().bytes);
  archive_file(open_tensor_file(dir / "plain"), dir / "packed");
  const std::string plain = test::read_file(dir / "plain");
  const std::string packed = test::read_file(dir / "packed");
  for (const bool undo : {false, true}) {
    for (const Call call : {Call::open, Call::openat, Call::write, Call::fsync, Call::renameat,
                            Call::mmap, Call::fstat}) {
      for (const int error : {EIO, ENOSPC}) {
        for (const bool sticky : {false, true}) {
          bool struck = true;
          for (int nth = 1; struck && nth < 100; ++nth) {
            struck = check_archive(undo ? packed : plain, undo ? plain : packed, undo,
                                   {call, nth, sticky, error, false});
          }
          CHECK_FALSE(struck);
        }
      }
    }
    CHECK(check_archive(undo ? packed : plain, undo ? plain : packed, undo,
                        {Call::write, 1, true, 0, true}));
  }
}

TEST_CASE("archives: what an archive's writer refuses") {
  const test::TempDir dir;
  test::write_file(dir / "in", test::sample_gguf().bytes);
  const std::string plain = test::read_file(dir / "in");
  CHECK_THROWS_WITH(archive_file(open_tensor_file(dir / "in"), dir / "in"), Contains("input"));
  CHECK_THROWS_WITH(unarchive_file(dir / "in", dir / "out"), Contains("seek table"));
  archive_file(open_tensor_file(dir / "in"), dir / "packed");
  CHECK_THROWS_WITH(unarchive_file(dir / "packed", dir / "packed"), Contains("input"));
  std::string broken = test::read_file(dir / "packed");
  broken[20] = static_cast<char>(broken[20] ^ 1);
  test::write_file(dir / "packed", broken);
  CHECK_THROWS_WITH(unarchive_file(dir / "packed", dir / "out"), Contains("frame 0: "));
  CHECK(dir.names() == Names{"in", "packed"});
  CHECK(test::read_file(dir / "in") == plain);
}
