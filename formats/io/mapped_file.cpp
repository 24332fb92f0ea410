#include "formats/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "formats/io/file_kind.h"
#include "formats/io/os_error.h"

namespace nibble {
namespace {

// Closes on every way out; the map itself needs no descriptor.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

void require_regular(const std::string& path, const struct stat& status) {
  if (const char* kind = irregular_kind(status.st_mode)) {
    throw Error(ErrorCode::io, fmt::format("{}: expected a regular file, got {}", path, kind),
                "name the model file itself");
  }
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  struct stat status {};
  // Looked at before opening, because opening a device or a pipe can have effects of its own.
  if (::stat(path.c_str(), &status) != 0) fail_errno(path, "open", errno);
  require_regular(path, status);

  Descriptor file;
  do {
    // O_NONBLOCK: should a pipe have taken the file's place meanwhile, opening it must not hang.
    file.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  } while (file.fd < 0 && errno == EINTR);
  if (file.fd < 0) fail_errno(path, "open", errno);
  if (::fstat(file.fd, &status) != 0) fail_errno(path, "read its status", errno);
  require_regular(path, status);

  if (status.st_size <= 0) return;
  const auto size = static_cast<size_t>(status.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED) fail_errno(path, "map", errno);
  data_ = static_cast<const std::byte*>(data);
  size_ = size;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

int MappedFile::advise(uint64_t offset, uint64_t length, int advice) const noexcept {
  if (offset >= size_ || length == 0) return 0;
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = offset / page * page;
  const uint64_t end = offset + std::min<uint64_t>(length, size_ - offset);
  return ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, advice);
}

void MappedFile::will_need(uint64_t offset, uint64_t length) const noexcept {
  (void)advise(offset, length, MADV_WILLNEED);
}

void MappedFile::bring_in(uint64_t offset, uint64_t length) const noexcept {
  // Linux before 5.14 does not know it.
  if (advise(offset, length, MADV_POPULATE_READ) != 0) will_need(offset, length);
}

void MappedFile::dont_need(uint64_t offset, uint64_t length) const noexcept {
  if (offset >= size_ || length == 0) return;
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = (offset + page - 1) / page * page;
  uint64_t end = offset + std::min<uint64_t>(length, size_ - offset);
  if (end != size_) end = end / page * page;
  if (begin >= end) return;
  (void)::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace nibble
