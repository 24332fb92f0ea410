#include "formats/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
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

constexpr int64_t kSoonNs = 50'000'000;
// Small enough to be asked whether to go on when a drive is slow.
constexpr uint64_t kReadBytes = uint64_t{256} << 10;

}  // namespace

MappedFile::Opened::Opened(const std::string& path) {
  struct stat status {};
  // Looked at before opening, because opening a device or a pipe can have effects of its own.
  if (::stat(path.c_str(), &status) != 0) fail_errno(path, "open", errno);
  require_regular(path, status);
  do {
    // O_NONBLOCK: should a pipe have taken the file's place meanwhile, opening it must not hang.
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) fail_errno(path, "open", errno);
  look(path);
}

MappedFile::Opened::Opened(int given, const std::string& name)
    : fd(::fcntl(given, F_DUPFD_CLOEXEC, 0)) {
  if (fd < 0) fail_errno(name, "copy its descriptor", errno);
  look(name);
}

void MappedFile::Opened::look(const std::string& path) {
  struct stat status {};
  try {
    if (::fstat(fd, &status) != 0) fail_errno(path, "read its status", errno);
    require_regular(path, status);
  } catch (...) {
    ::close(fd);
    throw;
  }
  size = static_cast<uint64_t>(std::max<off_t>(status.st_size, 0));
  written_s = status.st_mtim.tv_sec;
  written_ns = status.st_mtim.tv_nsec;
}

MappedFile::Opened::~Opened() {
  if (fd >= 0) ::close(fd);
}

MappedFile::Opened::Opened(Opened&& other) noexcept
    : fd(std::exchange(other.fd, -1)),
      size(other.size),
      begin(other.begin),
      written_s(other.written_s),
      written_ns(other.written_ns) {}

int MappedFile::Opened::changed() const noexcept {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return errno;
  return static_cast<uint64_t>(status.st_size) == size && status.st_mtim.tv_sec == written_s &&
                 status.st_mtim.tv_nsec == written_ns
             ? 0
             : -1;
}

MappedFile::MappedFile(const std::string& path, const FileOptions& options)
    : MappedFile(std::vector<std::string>{path}, options) {}

MappedFile::MappedFile(const std::vector<std::string>& paths, const FileOptions& options)
    : path_(paths.front()), paths_(paths), in_memory_(options.in_memory) {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  uint64_t total = 0;
  for (const std::string& path : paths) {
    files_.emplace_back(path);
    const auto next = checked_add(total, files_.back().size);
    const auto aligned = next ? checked_align(*next, page) : std::nullopt;
    if (!aligned) fail(ErrorCode::bad_file, "{}: the files together do not fit 64 bits", path);
    parts_.push_back({total, files_.back().size});
    total = *aligned;
  }
  size_ = parts_.back().offset + parts_.back().size;
  bring(total, options);
}

MappedFile::MappedFile(int fd, uint64_t offset, uint64_t size, const std::string& name,
                       const FileOptions& options)
    : path_(name), paths_{name} {
  Opened file(fd, name);
  const uint64_t left = file.size - std::min(offset, file.size);
  if (offset > file.size || size > left) {
    fail(ErrorCode::bad_argument, "{}: expected {} bytes from {} on, got a file of {}", name, size,
         offset, file.size);
  }
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  size_ = size > 0 ? size : left;
  in_memory_ = options.in_memory || offset % page != 0;
  file.begin = offset;
  files_.push_back(std::move(file));
  parts_.push_back({0, size_});
  bring((size_ + page - 1) / page * page, options);
}

void MappedFile::bring(uint64_t total, const FileOptions& options) {
  if (total == 0) return;
  // Address space for all, which the files then take over piece by piece.
  const int access = in_memory_ ? PROT_READ | PROT_WRITE : PROT_NONE;
  void* data = ::mmap(nullptr, total, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) fail_errno(path_, "map", errno);
  data_ = static_cast<const std::byte*>(data);
  reserved_ = total;
  try {
    in_memory_ ? read_all(options) : map_all();
  } catch (...) {
    ::munmap(data, total);
    throw;
  }
}

MappedFile::MappedFile(const std::string& path, uint64_t size,
                       const std::function<void(std::span<std::byte> to)>& fill)
    : path_(path), parts_{{0, size}}, paths_{path}, size_(size), reserved_(size), in_memory_(true) {
  if (size == 0) return;
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) fail_errno(path_, "map", errno);
  data_ = static_cast<const std::byte*>(data);
  try {
    fill({static_cast<std::byte*>(data), size});
  } catch (...) {
    ::munmap(data, size);
    throw;
  }
  (void)::mprotect(data, size, PROT_READ);
}

void MappedFile::map_all() {
  for (size_t i = 0; i < files_.size(); ++i) {
    if (parts_[i].size == 0) continue;
    auto* at = const_cast<std::byte*>(data_) + parts_[i].offset;
    if (::mmap(at, parts_[i].size, PROT_READ, MAP_SHARED | MAP_FIXED, files_[i].fd,
               static_cast<off_t>(files_[i].begin)) == MAP_FAILED) {
      fail_errno(paths_[i], "map", errno);
    }
  }
  guard_ = FileGuard(data_, size_);
}

void MappedFile::read_all(const FileOptions& options) {
  uint64_t total = 0, done = 0;
  for (const Part& part : parts_) total += part.size;
  for (size_t i = 0; i < files_.size(); ++i) {
    auto* to = const_cast<std::byte*>(data_) + parts_[i].offset;
    uint64_t at = 0;
    while (at < parts_[i].size) {
      const uint64_t n = std::min(kReadBytes, parts_[i].size - at);
      const ssize_t got =
          ::pread(files_[i].fd, to + at, n, static_cast<off_t>(files_[i].begin + at));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail_errno(paths_[i], "read", errno);
      if (got == 0) break;  // shorter than it was
      at += static_cast<uint64_t>(got);
      done += static_cast<uint64_t>(got);
      if (options.on_read) options.on_read(done, total);
    }
  }
  require_unchanged();
  files_.clear();
  (void)::mprotect(const_cast<std::byte*>(data_), reserved_, PROT_READ);
}

bool MappedFile::unchanged(bool soon) const noexcept {
  if (changed_.load(std::memory_order_acquire) != 0) return false;
  if (guard_.lost()) {
    changed_.store(-1, std::memory_order_release);
    return false;
  }
  if (files_.empty()) return true;
  const int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                          std::chrono::steady_clock::now().time_since_epoch())
                          .count();
  if (soon && now - asked_ns_.load(std::memory_order_relaxed) < kSoonNs) return true;
  asked_ns_.store(now, std::memory_order_relaxed);
  for (size_t i = 0; i < files_.size(); ++i) {
    if (const int changed = files_[i].changed(); changed != 0) {
      changed_file_.store(i, std::memory_order_relaxed);
      changed_.store(changed, std::memory_order_release);
      return false;
    }
  }
  return true;
}

void MappedFile::require_unchanged() const {
  if (unchanged()) return;
  const int changed = changed_.load(std::memory_order_acquire);
  const std::string& path = paths_[changed_file_.load(std::memory_order_relaxed)];
  if (changed > 0) fail_errno(path, "read its status", changed);
  throw Error(ErrorCode::io,
              fmt::format("{}: expected the file as it was when it was opened, got one that was "
                          "written to or truncated since",
                          path),
              "open the model again; programs that update a model file should replace it");
}

MappedFile::~MappedFile() {
  guard_.reset();
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), reserved_);
}

int MappedFile::advise(uint64_t offset, uint64_t length, int advice) const noexcept {
  if (in_memory_) return 0;
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
  // Given back, memory that no file backs would come back as zeros.
  if (in_memory_ || offset >= size_ || length == 0) return;
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = (offset + page - 1) / page * page;
  uint64_t end = offset + std::min<uint64_t>(length, size_ - offset);
  if (end != size_) end = end / page * page;
  if (begin >= end) return;
  (void)::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace nibble
