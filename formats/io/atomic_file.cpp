#include "formats/io/atomic_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "formats/io/file_kind.h"
#include "formats/io/os_error.h"

namespace nibble {
namespace {

constexpr std::string_view kPrefix = ".nibble-tmp-";
constexpr std::string_view kPartSuffix = ".nibble-part";
constexpr std::string_view kJournalSuffix = ".nibble-journal";
constexpr off_t kMaxNotes = 64 << 20;
constexpr size_t kBufferBytes = 256 * 1024;
constexpr uint64_t kWriteBackBytes = 16 << 20;
constexpr int kMaxNames = 1000;  // tried before giving up

// The system call again while a signal interrupts it.
template <typename Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// The file that a symbolic link leads to.
std::string follow_link(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> target(::realpath(path.c_str(), nullptr), &::free);
  if (target == nullptr) fail_errno(path, "follow the link", errno);
  return target.get();
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path, const AtomicFileOptions& options) : path_(path) {
  // A constructor that throws runs no destructor, so it cleans up itself.
  try {
    buffer_.reserve(kBufferBytes);
    resolve(options);
    sweep_abandoned();
    expected_bytes_ = options.expected_bytes;
    if (options.resumable) {
      open_partial();
      open_journal();
    } else {
      open_temporary();
    }
    if (options.expected_bytes != 0) reserve(options.expected_bytes);
  } catch (...) {
    if (left_bytes_ > 0) keep();  // nothing of what an earlier writer left has been touched
    give_up();
    throw;
  }
}

AtomicFile::~AtomicFile() {
  give_up();
}

void AtomicFile::resolve(const AtomicFileOptions& options) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) path_ = follow_link(path_);

  const size_t slash = path_.rfind('/');
  folder_ = slash == std::string::npos ? "." : path_.substr(0, std::max<size_t>(slash, 1));
  name_ = slash == std::string::npos ? path_ : path_.substr(slash + 1);
  if (name_.empty() || name_ == "." || name_ == "..") {
    fail(ErrorCode::bad_argument, "{}: expected the name of a file to write", path_);
  }
  folder_fd_ =
      uninterrupted([&] { return ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (folder_fd_ < 0) fail_errno(path_, "open its folder", errno);

  mode_ = options.mode;
  if (::fstatat(folder_fd_, name_.c_str(), &status, 0) != 0) {
    if (errno != ENOENT) fail_errno(path_, "read its status", errno);
    return;
  }
  if (const char* kind = irregular_kind(status.st_mode)) {
    fail(ErrorCode::bad_argument, "{}: expected a regular file to write, got {}", path_, kind);
  }
  for (const std::string& input : options.inputs) {
    struct stat in {};
    if (::stat(input.c_str(), &in) == 0 && same_file(in, status)) {
      throw Error(
          ErrorCode::bad_argument,
          fmt::format("{}: expected an output that is not an input, got the file {}", path_, input),
          "choose another name for the output");
    }
  }
  mode_ = status.st_mode & 07777;
  keeps_mode_ = true;
}

void AtomicFile::open_temporary() {
  for (int i = 0; i < kMaxNames; ++i) {
    temporary_ = fmt::format("{}{}-{}", kPrefix, ::getpid(), i);
    // Never more open to others than the finished file will be.
    fd_ = uninterrupted([&] {
      return ::openat(folder_fd_, temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                      mode_ & 0777);
    });
    if (fd_ < 0) {
      const int code = errno;
      temporary_.clear();
      if (code == EEXIST) continue;
      fail_errno(path_, "create a temporary file in its folder", code);
    }
    // A file system without locks has no sweeping either.
    (void)uninterrupted([&] { return ::flock(fd_, LOCK_EX); });
    // The lock belongs to both descriptors, so that closing the first, whose result must be known
    // before the rename, does not yet give the temporary away.
    lock_fd_ = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
    if (lock_fd_ < 0) fail_errno(path_, "keep its temporary file open", errno);
    struct stat status {};
    if (::fstat(fd_, &status) != 0) fail_errno(path_, "read its temporary file's status", errno);
    if (status.st_nlink > 0) {
      if (keeps_mode_ && ::fchmod(fd_, mode_) != 0) fail_errno(path_, "set permissions", errno);
      return;
    }
    // Between creation and lock another writer's sweep took it for abandoned: once more.
    close_file();
    temporary_.clear();
  }
  fail(ErrorCode::io, "{}: cannot find a free name for a temporary file in its folder", path_);
}

void AtomicFile::open_partial() {
  const std::string name = name_ + std::string(kPartSuffix);
  for (int i = 0; i < kMaxNames; ++i) {
    struct stat status {};
    // What was there stays when this fails.
    const bool existed = ::fstatat(folder_fd_, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    fd_ = uninterrupted([&] {
      return ::openat(folder_fd_, name.c_str(),
                      O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                      mode_ & 0777);
    });
    if (fd_ < 0) fail_errno(path_, fmt::format("open its partial file {}", name), errno);
    if (uninterrupted([&] { return ::flock(fd_, LOCK_EX | LOCK_NB); }) != 0 &&
        errno == EWOULDBLOCK) {
      throw Error(ErrorCode::io, fmt::format("{}: another process is writing it", path_),
                  "wait for it, or end it");
    }
    left_bytes_ = existed ? 1 : 0;
    temporary_ = name;
    if (lock_partial()) return;
    temporary_.clear();
    close_file();
  }
  fail(ErrorCode::io, "{}: its partial file {} keeps changing", path_, name);
}

// False when the name has gone to another file before the lock was had: its writer has finished.
bool AtomicFile::lock_partial() {
  lock_fd_ = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (lock_fd_ < 0) fail_errno(path_, "keep its partial file open", errno);
  struct stat locked {
  }, named{};
  if (::fstat(fd_, &locked) != 0) fail_errno(path_, "read its partial file's status", errno);
  if (const char* kind = irregular_kind(locked.st_mode)) {
    fail(ErrorCode::bad_argument, "{}: expected a regular file or none at {}, got {}", path_,
         temporary_, kind);
  }
  if (::fstatat(folder_fd_, temporary_.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 ||
      !same_file(locked, named)) {
    return false;
  }
  left_bytes_ = static_cast<uint64_t>(locked.st_size);
  if (keeps_mode_ && ::fchmod(fd_, mode_) != 0) fail_errno(path_, "set permissions", errno);
  return true;
}

// Notes that cannot be read are none: the work starts anew.
void AtomicFile::open_journal() {
  const std::string name = name_ + std::string(kJournalSuffix);
  journal_fd_ = uninterrupted([&] {
    return ::openat(folder_fd_, name.c_str(),
                    O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                    mode_ & 0777);
  });
  if (journal_fd_ < 0) fail_errno(path_, fmt::format("open its journal {}", name), errno);
  journal_ = name;
  struct stat status {};
  if (::fstat(journal_fd_, &status) != 0) fail_errno(path_, "read its journal's status", errno);
  if (const char* kind = irregular_kind(status.st_mode)) {
    journal_.clear();
    fail(ErrorCode::bad_argument, "{}: expected a regular file or none at {}, got {}", path_, name,
         kind);
  }
  if (status.st_size > kMaxNotes) return;
  notes_.resize(static_cast<size_t>(status.st_size));
  size_t at = 0;
  while (at < notes_.size()) {
    const ssize_t count = uninterrupted([&] {
      return ::pread(journal_fd_, notes_.data() + at, notes_.size() - at, static_cast<off_t>(at));
    });
    if (count <= 0) break;
    at += static_cast<size_t>(count);
  }
  notes_.resize(at);
}

void AtomicFile::restart(uint64_t bytes, uint64_t notes) {
  const auto cut = [&](int fd, uint64_t size, const char* what) {
    const auto to = static_cast<off_t>(size);
    if (uninterrupted([&] { return ::ftruncate(fd, to); }) != 0 ||
        ::lseek(fd, to, SEEK_SET) != to) {
      fail_errno(path_, what, errno);
    }
  };
  cut(journal_fd_, notes, "cut its journal");
  cut(fd_, bytes, "cut its partial file");
  notes_.resize(notes);
  size_ = bytes;
  // Cutting the file has given back what was reserved behind.
  if (expected_bytes_ != 0) reserve(expected_bytes_);
}

void AtomicFile::note(std::span<const std::byte> bytes) {
  flush();
  write_out(journal_fd_, bytes);
}

void AtomicFile::keep() noexcept {
  temporary_.clear();
  journal_.clear();
  give_up();
}

void AtomicFile::overwrite(uint64_t at, std::span<const std::byte> bytes) {
  flush();
  const auto seek = [&](uint64_t to) {
    if (::lseek(fd_, static_cast<off_t>(to), SEEK_SET) < 0) fail_errno(path_, "seek", errno);
  };
  seek(at);
  write_out(fd_, bytes);
  seek(size_);
}

std::string AtomicFile::flushed_path() {
  flush();
  return folder_ + "/" + temporary_;
}

// Temporaries whose writer is gone carry no lock any more. Before the lock is had, the name may
// have gone to another writer's file; from then on nobody but its holder takes the name away.
void AtomicFile::sweep_abandoned() noexcept {
  const int copy = ::openat(folder_fd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return;
  DIR* entries = ::fdopendir(copy);
  if (entries == nullptr) {
    ::close(copy);
    return;
  }
  while (const dirent* entry = ::readdir(entries)) {
    if (!std::string_view(entry->d_name).starts_with(kPrefix)) continue;
    const int fd = ::openat(folder_fd_, entry->d_name,
                            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) continue;
    struct stat locked {
    }, named{};
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0 && ::fstat(fd, &locked) == 0 &&
        ::fstatat(folder_fd_, entry->d_name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        same_file(locked, named)) {
      (void)::unlinkat(folder_fd_, entry->d_name, 0);
    }
    ::close(fd);
  }
  ::closedir(entries);
}

void AtomicFile::reserve(uint64_t bytes) {
  if (bytes > static_cast<uint64_t>(INT64_MAX)) {
    fail(ErrorCode::bad_argument, "{}: expected a size below 2^63, got {}", path_, bytes);
  }
  const int result = uninterrupted(
      [&] { return ::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)); });
  if (result == 0) {
    reserved_ = true;
    return;
  }
  const int code = errno;
  struct statvfs space {};
  const bool known = ::fstatvfs(fd_, &space) == 0;
  const uint64_t free_bytes = known ? uint64_t{space.f_bavail} * space.f_frsize : 0;
  // File systems that cannot reserve still say how much is free.
  const bool cannot_reserve = code == EOPNOTSUPP || code == ENOSYS;
  if (cannot_reserve && (!known || free_bytes >= bytes)) return;
  fail_errno(path_, fmt::format("reserve {} bytes ({} are free)", bytes, free_bytes),
             cannot_reserve ? ENOSPC : code);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  const bool direct = bytes.size() > kBufferBytes / 2;
  if (direct || bytes.size() > kBufferBytes - buffer_.size()) flush();  // in order
  if (direct) {
    write_out(fd_, bytes);
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  size_ += bytes.size();
  start_writing_back();
}

// So that the disk works while the rest is computed, and the sync at the end finds little to do.
// What comes of it is the sync's to say.
void AtomicFile::start_writing_back() noexcept {
#ifdef SYNC_FILE_RANGE_WRITE
  const uint64_t written = size_ - buffer_.size();
  if (written < writing_back_ + kWriteBackBytes) return;
  (void)::sync_file_range(fd_, static_cast<off_t>(writing_back_),
                          static_cast<off_t>(written - writing_back_), SYNC_FILE_RANGE_WRITE);
  writing_back_ = written;
#endif
}

void AtomicFile::flush() {
  if (buffer_.empty()) return;
  write_out(fd_, buffer_);
  buffer_.clear();
}

void AtomicFile::write_out(int fd, std::span<const std::byte> bytes) {
  if (fd < 0) fail(ErrorCode::internal, "{}: write after the file was finished", path_);
  while (!bytes.empty()) {
    const ssize_t count = uninterrupted([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (count <= 0) {  // 0 never happens on a regular file; looping on it would not end
      const int code = count < 0 ? errno : EIO;
      give_up();
      fail_errno(path_, "write", code);
    }
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void AtomicFile::sync(int fd, const char* what) const {
  if (uninterrupted([&] { return ::fsync(fd); }) != 0) fail_errno(path_, what, errno);
}

void AtomicFile::commit(const std::function<void(const std::string& temporary)>& verify) {
  try {
    flush();
    if (fd_ < 0) fail(ErrorCode::internal, "{}: commit after the file was finished", path_);
    // Gives back what was reserved and not used.
    if (reserved_ &&
        uninterrupted([&] { return ::ftruncate(fd_, static_cast<off_t>(size_)); }) != 0) {
      fail_errno(path_, "set its size", errno);
    }
    sync(fd_, "sync to disk");
    if (verify) verify(folder_ + "/" + temporary_);
    const int fd = fd_;
    fd_ = -1;
    // After an interrupted close() the descriptor is gone and the bytes are durable already.
    if (::close(fd) != 0 && errno != EINTR) fail_errno(path_, "close", errno);
    // First, so that no moment leaves a journal without its file.
    if (!journal_.empty()) (void)::unlinkat(folder_fd_, journal_.c_str(), 0);
    journal_.clear();
    if (::renameat(folder_fd_, temporary_.c_str(), folder_fd_, name_.c_str()) != 0) {
      fail_errno(path_, "rename the temporary file to it", errno);
    }
    temporary_.clear();
  } catch (...) {
    give_up();
    throw;
  }
  const int result = uninterrupted([&] { return ::fsync(folder_fd_); });
  const int code = errno;
  give_up();
  if (result != 0 && code != EINVAL) {  // EINVAL: this file system has no syncing of folders
    fail(ErrorCode::io,
         "{}: the new file is in place, but its folder could not be synced ({}): a power cut now "
         "may "
         "bring the old file back",
         path_, errno_text(code));
  }
}

void AtomicFile::close_file() noexcept {
  for (int* fd : {&fd_, &journal_fd_, &lock_fd_}) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
}

void AtomicFile::give_up() noexcept {
  // Unlinked before the lock goes with the descriptors.
  if (!temporary_.empty()) (void)::unlinkat(folder_fd_, temporary_.c_str(), 0);
  temporary_.clear();
  if (!journal_.empty()) (void)::unlinkat(folder_fd_, journal_.c_str(), 0);
  journal_.clear();
  close_file();
  if (folder_fd_ >= 0) ::close(folder_fd_);
  folder_fd_ = -1;
  buffer_.clear();
}

}  // namespace nibble
