// Archiving a file and unpacking it under every failure of the system: the old file stays
// byte-identical, nothing is left in the folder, and the error names path and cause.
#include "runtime/convert/archive_file.h"
#include "tests/fault/outcome.h"
#include "tests/support/gguf_bytes.h"

using namespace nibble;
using Catch::Matchers::Contains;
using faults::Call;
using faults::Writing;
using Names = std::set<std::string>;

namespace {

Writing writing(const std::string& in, bool undo) {
  const auto write = [undo](const test::TempDir& dir) {
    ArchiveFileOptions options;
    options.n_threads = 1;  // faults are for one thread at a time
    if (undo) {
      unarchive_file(dir / "in", dir / faults::kOut, options);
    } else {
      archive_file(open_tensor_file(dir / "in"), dir / faults::kOut, options);
    }
  };
  return {undo ? "unarchive" : "archive", write, {{"in", in}}};
}

std::vector<Writing> writings() {
  const test::TempDir dir;
  test::write_file(dir / "plain", test::sample_gguf().bytes);
  const std::string plain = test::read_file(dir / "plain");
  const Writing archive = writing(plain, false);
  const Writing undo = writing(archive.undisturbed(), true);
  CHECK(undo.undisturbed() == plain);
  return {archive, undo};
}

}  // namespace

TEST_CASE("archives: each system call fails, once and for ever") {
  for (const Writing& w : writings()) {
    faults::check_failures(w, {Call::open, Call::openat, Call::write, Call::fsync, Call::fchmod,
                               Call::fcntl, Call::renameat, Call::close, Call::mmap, Call::fstat});
  }
  // Only what is unpacked has a size that is known before.
  faults::check_failures(writings().back(), {Call::fallocate, Call::ftruncate});
}

TEST_CASE("archives: interrupted calls and short writes change nothing") {
  for (const Writing& w : writings()) faults::check_interruptions(w);
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
