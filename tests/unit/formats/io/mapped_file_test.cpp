#include "formats/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;

namespace {

void check_refused(const std::string& path, ErrorCode code, const std::string& text) {
  INFO(path);
  try {
    MappedFile map(path);
    FAIL("opened");
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK_THAT(error.what(), Contains(path));
    CHECK_THAT(error.what(), Contains(text));
    CHECK_FALSE(error.hint().empty());
  }
}

}  // namespace

TEST_CASE("a mapped file is its bytes") {
  const test::TempDir dir;
  test::write_file(dir / "a", std::string("hello\0world", 11));
  const MappedFile map(dir / "a");
  CHECK(map.path() == dir / "a");
  CHECK(as_text(map.bytes()) == std::string_view("hello\0world", 11));
}

TEST_CASE("an empty file is an empty span") {
  const test::TempDir dir;
  test::write_file(dir / "a", "");
  const MappedFile map(dir / "a");
  CHECK(map.bytes().empty());
  map.will_need(0, 10);
  map.bring_in(0, 10);
  map.dont_need(0, 10);
}

TEST_CASE("only regular files are mapped, and opening others never blocks") {
  const test::TempDir dir;
  check_refused(dir / "absent", ErrorCode::not_found, "No such file");
  test::write_file(dir / "file", "x");
  check_refused((dir / "file") + "/below", ErrorCode::not_found, "Not a directory");
  check_refused(dir.path(), ErrorCode::io, "got a folder");
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  check_refused(dir / "fifo", ErrorCode::io, "got a pipe");
  check_refused("/dev/zero", ErrorCode::io, "got a device");
  std::filesystem::create_symlink(dir / "fifo", dir / "link");
  check_refused(dir / "link", ErrorCode::io, "got a pipe");

  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (dir / "socket").c_str(), sizeof address.sun_path - 1);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  check_refused(dir / "socket", ErrorCode::io, "got a socket");
  ::close(fd);
}

TEST_CASE("a file that may not be read is refused with the system's reason") {
  if (::geteuid() == 0) {
    WARN("running as root, who may read everything: skipped");
    return;
  }
  const test::TempDir dir;
  test::write_file(dir / "a", "x");
  REQUIRE(::chmod((dir / "a").c_str(), 0) == 0);
  check_refused(dir / "a", ErrorCode::io, "Permission denied");
}

TEST_CASE("advice about pages never changes the bytes, whatever the range") {
  const test::TempDir dir;
  std::string text(3 * 4096 + 100, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31);
  test::write_file(dir / "a", text);
  const MappedFile map(dir / "a");
  const uint64_t sizes[] = {0,        1,         4095, 4096, 4097, 3 * 4096 + 99, 3 * 4096 + 100,
                            1u << 20, UINT64_MAX};
  for (const uint64_t offset : sizes) {
    for (const uint64_t length : sizes) {
      map.will_need(offset, length);
      map.bring_in(offset, length);
      map.dont_need(offset, length);
    }
  }
  CHECK(as_text(map.bytes()) == text);
}

TEST_CASE("pages that are brought in are mapped") {
  const test::TempDir dir;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  test::write_file(dir / "a", std::string(200 * page, 'x'));
  const MappedFile map(dir / "a");
  // A 64-bit word a page, its top bit: the page is there (Linux, admin-guide/mm/pagemap).
  const auto count_mapped = [&] {
    std::array<uint64_t, 200> words{};
    const int fd = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    const auto first = reinterpret_cast<uintptr_t>(map.bytes().data()) / page;
    REQUIRE(::pread(fd, words.data(), sizeof words, static_cast<off_t>(first * sizeof(uint64_t))) ==
            sizeof words);
    ::close(fd);
    return std::count_if(words.begin(), words.end(), [](uint64_t word) { return word >> 63 != 0; });
  };
  CHECK(count_mapped() == 0);
  if (::madvise(const_cast<std::byte*>(map.bytes().data()), 0, MADV_POPULATE_READ) != 0) {
    WARN("Linux before 5.14 only reads ahead: skipped");
    return;
  }
  map.bring_in(50 * page + 1, 100 * page);
  CHECK(count_mapped() >= 101);
  map.bring_in(0, UINT64_MAX);
  CHECK(count_mapped() == 200);
}
