// What AtomicFile does when the system works; tests/fault has what it does when not.
#include "formats/io/atomic_file.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;
using Names = std::set<std::string>;

namespace {

void put(AtomicFile& file, std::string_view text) {
  file.write(std::as_bytes(std::span(text)));
}

unsigned mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

void check_refused(const std::string& path, const AtomicFileOptions& options, ErrorCode code,
                   const std::string& text) {
  INFO(path);
  try {
    AtomicFile file(path, options);
    FAIL("opened");
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK_THAT(error.what(), Contains(text));
  }
}

}  // namespace

TEST_CASE("an atomic file appears at commit, whole, whatever the sizes of the pieces") {
  const test::TempDir dir;
  std::string want;
  {
    AtomicFile file(dir / "out");
    for (const size_t size : {0u, 1u, 100u, 131072u, 131073u, 262143u, 262144u, 1000003u, 5u}) {
      const std::string piece(size, static_cast<char>('a' + size % 26));
      put(file, piece);
      want += piece;
    }
    CHECK(file.size() == want.size());
    CHECK(dir.names().count("out") == 0);
    file.commit();
  }
  CHECK(dir.names() == Names{"out"});
  CHECK(test::read_file(dir / "out") == want);
}

TEST_CASE("without commit the old file stays and nothing is left behind") {
  const test::TempDir dir;
  test::write_file(dir / "out", "old");
  {
    AtomicFile file(dir / "out", {.inputs = {}, .expected_bytes = 1000});
    put(file, "new");
    CHECK(dir.names().size() == 2);
  }
  CHECK(dir.names() == Names{"out"});
  CHECK(test::read_file(dir / "out") == "old");
}

TEST_CASE("verify sees the durable bytes, and what it throws gives the file up") {
  const test::TempDir dir;
  test::write_file(dir / "out", "old");
  AtomicFile file(dir / "out");
  put(file, "new");
  std::string seen;
  const auto refuse = [&](const std::string& temporary) {
    seen = test::read_file(temporary);
    fail(ErrorCode::internal, "no");
  };
  CHECK_THROWS_AS(file.commit(refuse), Error);
  CHECK(seen == "new");
  CHECK(test::read_file(dir / "out") == "old");
  CHECK(dir.names() == Names{"out"});
  CHECK_THROWS_AS(file.commit(), Error);  // given up
}

TEST_CASE("a reservation larger than the file leaves no trace in its size") {
  const test::TempDir dir;
  AtomicFile file(dir / "out", {.inputs = {}, .expected_bytes = 1 << 20});
  put(file, "short");
  file.commit();
  CHECK(test::read_file(dir / "out") == "short");
  struct stat status {};
  REQUIRE(::stat((dir / "out").c_str(), &status) == 0);
  CHECK(status.st_blocks * 512 < 1 << 20);
}

TEST_CASE("more than the disk has is refused at once, with the figures") {
  const test::TempDir dir;
  test::write_file(dir / "out", "old");
  check_refused(dir / "out", {.inputs = {}, .expected_bytes = uint64_t{1} << 60}, ErrorCode::io,
                "cannot reserve 1152921504606846976 bytes");
  check_refused(dir / "out", {.inputs = {}, .expected_bytes = UINT64_MAX}, ErrorCode::bad_argument,
                "below 2^63");
  CHECK(dir.names() == Names{"out"});
}

TEST_CASE("permissions: a new file follows the umask, a replaced one keeps its own") {
  const test::TempDir dir;
  const mode_t old_mask = ::umask(027);
  {
    AtomicFile file(dir / "new");
    file.commit();
  }
  {
    AtomicFile file(dir / "private", {.inputs = {}, .expected_bytes = 0, .mode = 0600});
    file.commit();
  }
  test::write_file(dir / "old", "x");
  REQUIRE(::chmod((dir / "old").c_str(), 0606) == 0);
  {
    AtomicFile file(dir / "old");
    file.commit();
  }
  ::umask(old_mask);
  CHECK(mode_of(dir / "new") == 0640);
  CHECK(mode_of(dir / "private") == 0600);
  CHECK(mode_of(dir / "old") == 0606);
}

TEST_CASE("a symbolic link is followed, and stays a link") {
  const test::TempDir dir;
  std::filesystem::create_directory(dir / "there");
  test::write_file((dir / "there") + "/real", "old");
  std::filesystem::create_symlink("there/real", dir / "link");
  {
    AtomicFile file(dir / "link");
    put(file, "new");
    file.commit();
  }
  CHECK(std::filesystem::is_symlink(dir / "link"));
  CHECK(test::read_file((dir / "there") + "/real") == "new");

  std::filesystem::create_symlink("nowhere", dir / "dangling");
  check_refused(dir / "dangling", {}, ErrorCode::not_found, "cannot follow the link");
}

TEST_CASE("an output that is an input is refused by any of its names") {
  const test::TempDir dir;
  test::write_file(dir / "in", "precious");
  std::filesystem::create_hard_link(dir / "in", dir / "hard");
  std::filesystem::create_symlink("in", dir / "soft");
  const AtomicFileOptions options{.inputs = {dir / "other", dir / "in"}};
  for (const char* name : {"in", "hard", "soft", "./in"}) {
    check_refused(dir / name, options, ErrorCode::bad_argument, "not an input");
  }
  { AtomicFile file(dir / "out", options); }
  CHECK(test::read_file(dir / "in") == "precious");
  CHECK(dir.names() == Names{"hard", "in", "soft"});
}

TEST_CASE("paths that cannot be a file are refused by name") {
  const test::TempDir dir;
  std::filesystem::create_directory(dir / "folder");
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  check_refused(dir / "folder", {}, ErrorCode::bad_argument, "got a folder");
  check_refused((dir / "folder") + "/", {}, ErrorCode::bad_argument, "name of a file");
  check_refused(dir / "fifo", {}, ErrorCode::bad_argument, "got a pipe");
  check_refused("/dev/null", {}, ErrorCode::bad_argument, "got a device");
  check_refused("", {}, ErrorCode::bad_argument, "name of a file");
  check_refused(dir / "absent/file", {}, ErrorCode::not_found, "No such file");
  check_refused(dir / std::string(300, 'x'), {}, ErrorCode::io, "File name too long");
  CHECK(dir.names() == Names{"fifo", "folder"});
}

TEST_CASE("what a killed writer left is swept; what a living one writes is not") {
  const test::TempDir dir;
  test::write_file(dir / ".nibble-tmp-1-0", "litter of a dead process");
  test::write_file(dir / ".nibble-other", "not ours");
  AtomicFile first(dir / "one");
  put(first, "1");
  CHECK(dir.names().count(".nibble-tmp-1-0") == 0);
  AtomicFile second(dir / "two");
  put(second, "2");
  first.commit();
  second.commit();
  CHECK(dir.names() == Names{".nibble-other", "one", "two"});
  CHECK(test::read_file(dir / "one") == "1");
}

TEST_CASE("a name in the current folder needs no slash") {
  const test::TempDir dir;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  {
    AtomicFile file("out");
    put(file, "x");
    file.commit([](const std::string& temporary) { CHECK(test::read_file(temporary) == "x"); });
  }
  std::filesystem::current_path(before);
  CHECK(dir.names() == Names{"out"});
}
