#pragma once
// A file that appears whole or not at all. Bytes go to a temporary in the same folder; commit()
// makes them durable (fsync), lets the caller verify them, renames the temporary over the path and
// makes the name durable (fsync of the folder). Any failure, or destruction without commit(),
// removes the temporary and leaves an older file byte-identical.
// The temporary holds a lock while its writer lives; what a killed writer left behind is unlocked
// and removed by the next AtomicFile in that folder.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace nibble {

struct AtomicFileOptions {
  /// Files that must stay readable while this one is written: an output that is one of them, by any
  /// name or link, is refused.
  std::vector<std::string> inputs;
  /// Space to reserve at the start, so that a full disk is found before the work; 0: none.
  uint64_t expected_bytes = 0;
  /// Permissions of a new file, narrowed by the umask; a replaced file keeps its own.
  unsigned mode = 0666;
};

class AtomicFile {
 public:
  /// A path that is a symbolic link is followed: the file it leads to is replaced.
  /// Errors: not_found (folder), io, bad_argument (the path is an input, or no regular file).
  explicit AtomicFile(const std::string& path, const AtomicFileOptions& options = {});
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Where the file will be.
  const std::string& path() const noexcept { return path_; }
  /// Bytes written so far.
  uint64_t size() const noexcept { return size_; }

  /// Appends. Error io names path and cause; the file is then given up.
  void write(std::span<const std::byte> bytes);

  /// Puts the file in place. verify is called with the temporary's path once its bytes are durable;
  /// what it throws gives the file up. Error io: the old file is still in place, except when the
  /// message says that only the folder could not be synced. Nothing may follow.
  void commit(const std::function<void(const std::string& temporary)>& verify = {});

 private:
  void resolve(const AtomicFileOptions& options);
  void open_temporary();
  void sweep_abandoned() noexcept;
  void reserve(uint64_t bytes);
  void flush();
  void write_out(std::span<const std::byte> bytes);
  void sync(int fd, const char* what) const;
  void close_file() noexcept;
  void give_up() noexcept;

  std::string path_;       // with links followed
  std::string folder_;     // of path_
  std::string name_;       // of path_ in folder_
  std::string temporary_;  // name in folder_; empty when there is none
  unsigned mode_ = 0;
  bool keeps_mode_ = false;  // mode_ is an older file's
  bool reserved_ = false;
  int folder_fd_ = -1;
  int fd_ = -1;
  int lock_fd_ = -1;  // a second descriptor of the same open file
  uint64_t size_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace nibble
