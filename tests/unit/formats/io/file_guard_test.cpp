#include "formats/io/file_guard.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csetjmp>
#include <csignal>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;

namespace {

constexpr size_t kPages = 8;

size_t page_size() {
  return static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

/// kPages pages of 'x', written an hour ago: clocks of files are coarse.
std::string old_file(const test::TempDir& dir, const std::string& name) {
  test::write_file(dir / name, std::string(kPages * page_size(), 'x'));
  const struct timespec times[2] = {{::time(nullptr) - 3600, 0}, {::time(nullptr) - 3600, 0}};
  REQUIRE(::utimensat(AT_FDCWD, (dir / name).c_str(), times, 0) == 0);
  return dir / name;
}

/// 'x', or 0 where a page is gone.
int first_of_page(const MappedFile& map, size_t page) {
  return static_cast<int>(*(static_cast<const volatile char*>(
      static_cast<const volatile void*>(map.bytes().data() + page * page_size()))));
}

void check_changed(const MappedFile& map) {
  CHECK_FALSE(map.unchanged());
  CHECK_FALSE(map.unchanged(true));
  try {
    map.require_unchanged();
    FAIL("unchanged");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::io);
    CHECK_THAT(e.what(), Contains(map.path()) && Contains("truncated"));
  }
}

struct sigaction current_handler() {
  struct sigaction now = {};
  REQUIRE(::sigaction(SIGBUS, nullptr, &now) == 0);
  return now;
}

bool same_handler(const struct sigaction& a, const struct sigaction& b) {
  return a.sa_handler == b.sa_handler;  // one word with sa_sigaction; the system adds flags
}

/// A file mapped by the host itself, and cut: touching it is the host's own fault.
struct HostsFault {
  explicit HostsFault(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    at = ::mmap(nullptr, page_size(), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    REQUIRE(at != MAP_FAILED);
    REQUIRE(::truncate(path.c_str(), 0) == 0);
  }
  ~HostsFault() { ::munmap(at, page_size()); }
  void touch() const { (void)*static_cast<volatile const char*>(at); }
  void* at = nullptr;
};

sigjmp_buf host_jump;
volatile sig_atomic_t host_calls = 0;
void host_handler(int) {
  host_calls = host_calls + 1;
  siglongjmp(host_jump, 1);
}
void host_counts(int, siginfo_t*, void*) {
  host_calls = host_calls + 1;
}

struct HandlerScope {
  explicit HandlerScope(const struct sigaction& action) {
    REQUIRE(::sigaction(SIGBUS, &action, &before) == 0);
  }
  ~HandlerScope() { ::sigaction(SIGBUS, &before, nullptr); }
  struct sigaction before = {};
};

}  // namespace

TEST_CASE("pages of a truncated file read as zeros, and the map says that it changed", "[guard]") {
  const test::TempDir dir;
  for (const size_t left : {size_t{0}, size_t{4}, kPages - 1}) {
    const std::string path = old_file(dir, "a");
    const MappedFile map(path), other(old_file(dir, "b"));
    CHECK(map.unchanged());
    REQUIRE(::truncate(path.c_str(), static_cast<off_t>(left * page_size())) == 0);
    for (size_t page = kPages; page-- > 0;) {
      CHECK(first_of_page(map, page) == (page < left ? 'x' : 0));
    }
    check_changed(map);
    CHECK(std::all_of(other.bytes().begin(), other.bytes().end(),
                      [](std::byte b) { return b == std::byte{'x'}; }));
    CHECK(other.unchanged());
  }
}

TEST_CASE("several threads lose the same file, and others keep theirs", "[guard]") {
  const test::TempDir dir;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 3; ++t) {
    const std::string path = old_file(dir, std::to_string(t));
    threads.emplace_back([&wrong, path, loses = t > 0] {
      const std::string keep(kPages * page_size(), 'x');
      for (int i = 0; i < 20; ++i) {
        const MappedFile map(path);
        const auto touch_all = [&] {
          for (size_t page = 0; page < kPages; ++page) {
            const int first = first_of_page(map, page);
            if (first != 'x' && (first != 0 || !loses)) wrong.fetch_add(1);
          }
        };
        std::thread second(touch_all);
        if (loses && ::truncate(path.c_str(), 0) != 0) wrong.fetch_add(1);
        touch_all();
        second.join();
        if (map.unchanged() == loses) wrong.fetch_add(1);
        if (loses) test::write_file(path, keep);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(wrong == 0);
}

TEST_CASE("what is lost stays lost, whatever the file becomes", "[guard]") {
  const test::TempDir dir;
  const std::string path = old_file(dir, "a");
  const MappedFile map(path);
  REQUIRE(::truncate(path.c_str(), 0) == 0);
  CHECK(first_of_page(map, 3) == 0);
  old_file(dir, "a");
  check_changed(map);
}

TEST_CASE("a file that is written to in place has changed", "[guard]") {
  const test::TempDir dir;
  const std::string path = old_file(dir, "a");
  const MappedFile map(path), split({path, old_file(dir, "b")});
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  REQUIRE(::pwrite(fd, "y", 1, 10) == 1);
  ::close(fd);
  check_changed(map);
  check_changed(split);
}

TEST_CASE("a file that is deleted or replaced stays what it was", "[guard]") {
  const test::TempDir dir;
  const std::string path = old_file(dir, "a");
  const MappedFile map(path);
  const MappedFile second(old_file(dir, "b"));
  test::write_file(dir / "new", "short");
  REQUIRE(::rename((dir / "new").c_str(), path.c_str()) == 0);
  REQUIRE(::unlink((dir / "b").c_str()) == 0);
  for (const MappedFile* file : {&map, &second}) {
    CHECK(file->unchanged());
    CHECK(file->bytes().size() == kPages * page_size());
    CHECK(first_of_page(*file, kPages - 1) == 'x');
  }
}

TEST_CASE("a file that was read into memory does not matter any more", "[guard]") {
  const test::TempDir dir;
  const std::string path = old_file(dir, "a");
  FileOptions how;
  how.in_memory = true;
  uint64_t last = 0;
  how.on_read = [&](uint64_t done, uint64_t total) {
    CHECK(done > last);
    last = done;
    CHECK(total == 2 * kPages * page_size());
  };
  const MappedFile map({path, old_file(dir, "b")}, how);
  CHECK(last == 2 * kPages * page_size());
  map.dont_need(0, UINT64_MAX);
  REQUIRE(::truncate(path.c_str(), 0) == 0);
  CHECK(map.unchanged());
  CHECK(std::all_of(map.bytes().begin(), map.bytes().end(),
                    [](std::byte b) { return b == std::byte{'x'}; }));
  how.on_read = [](uint64_t, uint64_t) { fail(ErrorCode::cancelled, "enough"); };
  CHECK_THROWS_WITH(MappedFile(dir / "b", how), "enough");
}

TEST_CASE("the handler is there while a file is mapped, and the host may decline it", "[guard]") {
  const test::TempDir dir;
  const struct sigaction before = current_handler();
  {
    const MappedFile map(old_file(dir, "a"));
    CHECK_FALSE(same_handler(current_handler(), before));
    const MappedFile second(old_file(dir, "b"));
  }
  CHECK(same_handler(current_handler(), before));
  set_file_guard(false);
  {
    const MappedFile map(old_file(dir, "a"));
    CHECK(same_handler(current_handler(), before));
    CHECK(map.unchanged());
    test::write_file(dir / "a", "short");
    check_changed(map);  // without a handler this much is known
  }
  set_file_guard(true);
}

TEST_CASE("faults of the host go to the host's handler", "[guard]") {
  const test::TempDir dir;
  struct sigaction action = {};
  action.sa_handler = &host_handler;
  const HandlerScope scope(action);
  const std::string path = old_file(dir, "a");
  const MappedFile map(path);
  const HostsFault fault(old_file(dir, "b"));
  host_calls = 0;
  if (sigsetjmp(host_jump, 1) == 0) fault.touch();
  CHECK(host_calls == 1);
  REQUIRE(::truncate(path.c_str(), 0) == 0);
  CHECK(first_of_page(map, 0) == 0);
  CHECK(host_calls == 1);
  CHECK_FALSE(map.unchanged());
}

TEST_CASE("a signal that a process sends goes to the host's handler, with what it says",
          "[guard]") {
  const test::TempDir dir;
  struct sigaction action = {};
  action.sa_sigaction = &host_counts;
  action.sa_flags = SA_SIGINFO;
  const HandlerScope scope(action);
  const MappedFile map(old_file(dir, "a"));
  host_calls = 0;
  ::raise(SIGBUS);
  CHECK(host_calls == 1);
}

TEST_CASE("a handler that the host puts over ours stays when the last file closes", "[guard]") {
  const test::TempDir dir;
  const struct sigaction before = current_handler();
  struct sigaction over = {};
  over.sa_sigaction = &host_counts;
  over.sa_flags = SA_SIGINFO;
  auto map = std::make_unique<MappedFile>(old_file(dir, "a"));
  struct sigaction ours = {};
  REQUIRE(::sigaction(SIGBUS, &over, &ours) == 0);
  map.reset();
  CHECK(same_handler(current_handler(), over));
  // The host takes its own away again; the next file makes all well.
  REQUIRE(::sigaction(SIGBUS, &ours, nullptr) == 0);
  map = std::make_unique<MappedFile>(old_file(dir, "a"));
  map.reset();
  CHECK(same_handler(current_handler(), before));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // theirs report and exit
TEST_CASE("a fault of a host without a handler ends it as ever", "[guard]") {
  const test::TempDir dir;
  const std::string path = old_file(dir, "a");
  for (const bool sent : {false, true}) {
    for (const auto handler : {SIG_DFL, SIG_IGN}) {
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        struct sigaction action = {};
        action.sa_handler = handler;
        ::sigaction(SIGBUS, &action, nullptr);
        const MappedFile map(path);
        const HostsFault fault(old_file(dir, "b"));
        if (sent) ::raise(SIGBUS);
        if (!sent) fault.touch();
        ::_exit(7);
      }
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      if (sent && handler == SIG_IGN) {
        CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 7));
      } else {
        CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS));
      }
    }
  }
}
#endif
