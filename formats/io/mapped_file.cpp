#include "formats/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "formats/io/checked.h"
#include "formats/io/file_kind.h"
#include "formats/io/os_error.h"

namespace nibble {
namespace {

void require_regular(const std::string& path, const struct stat& status) {
  if (const char* kind = irregular_kind(status.st_mode)) {
    throw Error(ErrorCode::io, fmt::format("{}: expected a regular file, got {}", path, kind),
                "name the model file itself");
  }
}

/// A regular file open for reading. The map itself needs no descriptor.
struct OpenFile {
  explicit OpenFile(const std::string& path) {
    struct stat status {};
    // Looked at before opening, because opening a device or a pipe can have effects of its own.
    if (::stat(path.c_str(), &status) != 0) fail_errno(path, "open", errno);
    require_regular(path, status);
    do {
      // O_NONBLOCK: should a pipe have taken the file's place meanwhile, opening it must not hang.
      fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) fail_errno(path, "open", errno);
    try {
      if (::fstat(fd, &status) != 0) fail_errno(path, "read its status", errno);
      require_regular(path, status);
    } catch (...) {
      ::close(fd);
      throw;
    }
    size = static_cast<uint64_t>(std::max<off_t>(status.st_size, 0));
  }
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
  OpenFile(OpenFile&& other) noexcept : fd(std::exchange(other.fd, -1)), size(other.size) {}
  OpenFile& operator=(OpenFile&&) = delete;

  int fd = -1;
  uint64_t size = 0;
};

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const OpenFile file(path);
  parts_.push_back({0, file.size});
  if (file.size == 0) return;
  void* data = ::mmap(nullptr, file.size, PROT_READ, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED) fail_errno(path, "map", errno);
  data_ = static_cast<const std::byte*>(data);
  size_ = reserved_ = file.size;
}

MappedFile::MappedFile(const std::vector<std::string>& paths) : path_(paths.front()) {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  std::vector<OpenFile> files;
  uint64_t total = 0;
  for (const std::string& path : paths) {
    files.emplace_back(path);
    const auto next = checked_add(total, files.back().size);
    const auto aligned = next ? checked_align(*next, page) : std::nullopt;
    if (!aligned) fail(ErrorCode::bad_file, "{}: the files together do not fit 64 bits", path);
    parts_.push_back({total, files.back().size});
    total = *aligned;
  }
  size_ = parts_.back().offset + parts_.back().size;
  if (total == 0) return;
  // Address space for all, which the files then take over piece by piece.
  void* data =
      ::mmap(nullptr, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) fail_errno(path_, "map", errno);
  data_ = static_cast<const std::byte*>(data);
  reserved_ = total;
  for (size_t i = 0; i < files.size(); ++i) {
    if (parts_[i].size == 0) continue;
    auto* at = static_cast<std::byte*>(data) + parts_[i].offset;
    if (::mmap(at, parts_[i].size, PROT_READ, MAP_SHARED | MAP_FIXED, files[i].fd, 0) !=
        MAP_FAILED) {
      continue;
    }
    const int error = errno;
    ::munmap(data, total);
    fail_errno(paths[i], "map", error);
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), reserved_);
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
