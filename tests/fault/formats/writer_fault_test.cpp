// Every writer of formats/ under every failure of the system: the old file stays byte-identical,
// nothing is left in the folder, and the error names path and cause.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "formats/gguf.h"
#include "tests/fault/outcome.h"

using namespace nibble;
using Catch::Matchers::Contains;
using faults::Call;
using faults::Writing;
using Names = std::set<std::string>;

namespace {

constexpr const char* kName = faults::kOut;

// Pieces below and above the size that goes through AtomicFile's buffer.
void write_atomic(const std::string& path) {
  AtomicFile file(path, {.inputs = {}, .expected_bytes = 700000});
  const std::vector<std::byte> piece(1000, std::byte{'a'});
  for (int i = 0; i < 400; ++i) file.write(piece);
  file.write(std::vector<std::byte>(300000, std::byte{'b'}));
  file.commit();
}

void write_gguf(const std::string& path) {
  GgufHeader header;
  header.set_string("general.architecture", "test");
  TensorInfo info;
  info.n_dims = 1;
  info.shape[0] = 50000;
  for (const char* name : {"a", "b"}) {
    info.name = name;
    header.add_tensor(info);
  }
  GgufWriter writer(path, header);
  const std::vector<std::byte> piece(8192, std::byte{'x'});
  while (writer.current() != nullptr) {
    writer.write(std::span(piece).first(std::min<uint64_t>(piece.size(), writer.bytes_left())));
  }
  writer.finish();
}

struct Writer {
  const char* name;
  void (*write)(const std::string& path);
  bool reads_back;
};
constexpr Writer kWriters[] = {{"AtomicFile", write_atomic, false},
                               {"GgufWriter", write_gguf, true}};

Writing writing(const Writer& writer) {
  const auto write = writer.write;
  return {writer.name, [write](const test::TempDir& dir) { write(dir / kName); }};
}

std::string written_by(const Writer& writer) {
  return writing(writer).undisturbed();
}

}  // namespace

TEST_CASE("each system call of each writer fails, once or from then on, for each cause") {
  for (const Writer& writer : kWriters) {
    const auto causes = {EIO, ENOSPC, EDQUOT};
    faults::check_failures(
        writing(writer),
        {Call::open, Call::openat, Call::write, Call::fsync, Call::ftruncate, Call::fallocate,
         Call::fchmod, Call::fcntl, Call::flock, Call::renameat, Call::close, Call::fstat},
        causes);
    if (writer.reads_back) faults::check_failures(writing(writer), {Call::mmap}, causes);
  }
}

TEST_CASE("interrupted calls and short writes are carried on") {
  for (const Writer& writer : kWriters) faults::check_interruptions(writing(writer));
}

TEST_CASE("a file system without reservation is asked for its free space instead") {
  const test::TempDir dir;
  const faults::Armed armed({Call::fallocate, 1, true, EOPNOTSUPP, false});
  CHECK_NOTHROW(write_atomic(dir / kName));
  try {
    AtomicFile file(dir / "huge", {.inputs = {}, .expected_bytes = uint64_t{1} << 60});
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Contains("cannot reserve 1152921504606846976 bytes") &&
                                 Contains("are free") && Contains("No space left"));
  }
  CHECK(dir.names() == Names{kName});
}

TEST_CASE("the file is synced before the rename and its folder after") {
  for (const Writer& writer : kWriters) {
    INFO(writer.name);
    const test::TempDir dir;
    const faults::Armed armed({});
    writer.write(dir / kName);
    std::vector<std::string> steps;
    for (const std::string& call : armed.trace()) {
      if (call != "write" && call != "fsync" && call != "renameat") continue;
      if (steps.empty() || steps.back() != call) steps.push_back(call);
    }
    CHECK(steps == std::vector<std::string>{"write", "fsync", "renameat", "fsync"});
  }
}

TEST_CASE("a sweep spares a new writer's temporary under the name of an abandoned one") {
  const test::TempDir dir;
  const std::string name = ".nibble-tmp-1-0";
  const std::string path = dir / name;
  test::write_file(path, "litter");
  int fd = -1;
  {
    // The first lock is the sweep's. Before it another sweep is faster, and a writer in another
    // process takes the name.
    const faults::Before before(Call::flock, 1, [&] {
      ::unlink(path.c_str());
      fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
      ::flock(fd, LOCK_EX);
    });
    write_atomic(dir / kName);
    CHECK(before.done());
  }
  REQUIRE(fd >= 0);
  CHECK(dir.names() == Names{name, kName});
  ::close(fd);
}

TEST_CASE("each allocation of each writer fails") {
  for (const Writer& writer : kWriters) {
    INFO(writer.name);
    const std::string fresh = written_by(writer);
    for (const bool sticky : {false, true}) {
      bool struck = true;
      for (long nth = 1; struck; ++nth) {
        const test::TempDir dir;
        const std::string path = dir / kName;
        test::write_file(path, "the old file");
        bool failed = false;
        {
          const faults::NoMemory armed(nth, sticky);
          try {
            writer.write(path);
          } catch (const std::bad_alloc&) {
            failed = true;
          }
          struck = armed.struck();
        }
        CHECK(failed == struck);
        CHECK(test::read_file(path) == (failed ? "the old file" : fresh));
        CHECK(dir.names() == Names{kName});
      }
    }
  }
}

namespace {

// Runs `work` in a child; the child's exit status, or minus the signal that ended it.
int in_child(const std::function<int()>& work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(work());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a limit on the size of files, at any size, is an error and no damage") {
  for (const Writer& writer : kWriters) {
    INFO(writer.name);
    const size_t whole = written_by(writer).size();
    for (size_t limit = 0; limit <= whole; limit += whole / 40 + 1) {
      const test::TempDir dir;
      test::write_file(dir / kName, "the old file");
      const std::string path = dir / kName;
      const int result = in_child([&] {
        ::signal(SIGXFSZ, SIG_IGN);  // so that the call fails instead
        const rlimit size{limit, limit};
        ::setrlimit(RLIMIT_FSIZE, &size);
        try {
          writer.write(path);
        } catch (const Error& error) {
          return error.message().find("File too large") != std::string::npos ? 7 : 8;
        }
        return 0;
      });
      CHECK(result == (limit < whole ? 7 : 0));
      if (limit < whole) CHECK(test::read_file(dir / kName) == "the old file");
      CHECK(dir.names() == Names{kName});
    }
  }
}

namespace {

// Kills a writer at a random moment, `count` times; the file is old or new, and the next writer
// clears what was left.
void check_kills(int count) {
  for (const Writer& writer : kWriters) {
    INFO(writer.name);
    const std::string fresh = written_by(writer);
    const test::TempDir dir;
    const std::string path = dir / kName;
    unsigned random = 1;
    int killed_midway = 0;
    for (int i = 0; i < count; ++i) {
      test::write_file(path, "the old file");
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        writer.write(path);
        ::_exit(0);
      }
      random = random * 1664525 + 1013904223;
      ::usleep((random >> 16) % 8000);
      ::kill(child, SIGKILL);
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      const std::string content = test::read_file(path);
      if (content != fresh) CHECK(content == "the old file");
      killed_midway += dir.names().size() > 1 ? 1 : 0;
    }
    writer.write(path);
    CHECK(dir.names() == Names{kName});
    CHECK(test::read_file(path) == fresh);
    CHECK(killed_midway > 0);  // the moments were not all before or after
  }
}

}  // namespace

TEST_CASE("a killed writer leaves the file old or new") {
  check_kills(50);
}
TEST_CASE("a killed writer leaves the file old or new, a thousand times", "[slow]") {
  check_kills(1000);
}
