#pragma once
// A file that appears whole or not at all. Bytes go to a temporary in the same folder; commit()
// makes them durable (fsync), lets the caller verify them, renames the temporary over the path and
// makes the name durable (fsync of the folder). Any failure, or destruction without commit(),
// removes the temporary and leaves an older file byte-identical.
// The temporary holds a lock while its writer lives; what a killed writer left behind is unlocked
// and removed by the next AtomicFile in that folder.
//
// Long work can be continued instead: the temporary of a resumable file is PATH.nibble-part, and
// beside it PATH.nibble-journal holds notes, for their writer to know what is good. Both stay when
// the process is killed or the file is kept; the next resumable writer of the same path takes them
// over, and decides by restart() what it continues. Success and failure remove both.
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
  /// The temporary is one that a later writer can continue.
  bool resumable = false;
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
  /// Writes over bytes written before. Errors as write().
  void overwrite(uint64_t at, std::span<const std::byte> bytes);
  /// Where everything written so far can be read.
  std::string flushed_path();

  /// Resumable only: what earlier writers noted, and how much of the file they left.
  const std::vector<std::byte>& notes() const noexcept { return notes_; }
  uint64_t left_bytes() const noexcept { return left_bytes_; }
  /// Resumable only, before the first write: keeps so much of the file and of the notes.
  void restart(uint64_t bytes, uint64_t notes);
  /// Resumable only: appends to the notes, after everything written so far is in the file.
  void note(std::span<const std::byte> bytes);
  /// Resumable only: leaves file and notes for a later writer. Nothing may follow.
  void keep() noexcept;

  /// Puts the file in place. verify is called with the temporary's path once its bytes are durable;
  /// what it throws gives the file up. Error io: the old file is still in place, except when the
  /// message says that only the folder could not be synced. Nothing may follow.
  void commit(const std::function<void(const std::string& temporary)>& verify = {});

 private:
  void resolve(const AtomicFileOptions& options);
  void open_temporary();
  void open_partial();
  bool lock_partial();
  void open_journal();
  void sweep_abandoned() noexcept;
  void reserve(uint64_t bytes);
  void flush();
  void start_writing_back() noexcept;
  void write_out(int fd, std::span<const std::byte> bytes);
  void sync(int fd, const char* what) const;
  void close_file() noexcept;
  void give_up() noexcept;

  std::string path_;       // with links followed
  std::string folder_;     // of path_
  std::string name_;       // of path_ in folder_
  std::string temporary_;  // name in folder_; empty when there is none
  std::string journal_;    // likewise
  unsigned mode_ = 0;
  bool keeps_mode_ = false;  // mode_ is an older file's
  bool reserved_ = false;
  int folder_fd_ = -1;
  int fd_ = -1;
  int journal_fd_ = -1;
  int lock_fd_ = -1;  // a second descriptor of the same open file
  uint64_t size_ = 0;
  uint64_t writing_back_ = 0;  // the disk has been told to write so much
  uint64_t left_bytes_ = 0;
  uint64_t expected_bytes_ = 0;
  std::vector<std::byte> notes_;
  std::vector<std::byte> buffer_;
};

}  // namespace nibble
