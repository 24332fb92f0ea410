#pragma once
// A regular file, or several as if they were one, mapped read-only. Pages come in on first touch
// and can be asked for ahead (will_need, bring_in) or given back (dont_need); all are advice and
// never fail. Whoever truncates the file while it is mapped takes the pages away: a FileGuard puts
// zeros there, and unchanged() tells. Writers of model files must replace them by rename, as
// AtomicFile does: a file that is replaced or deleted stays what it was to those who have it open.
//
// Or the bytes are read into memory once, for drives that come and go; then the file does not
// matter any more.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "formats/io/file_guard.h"

namespace nibble {

struct FileOptions {
  bool in_memory = false;  // read it instead of mapping it
  /// Of in_memory, after every piece, with bytes so far and in all; what it throws ends the
  /// opening.
  std::function<void(uint64_t done, uint64_t total)> on_read;
  /// Calls work(0) to work(n - 1), several at once; work does not throw. Empty: one by one. For
  /// archives, which on_read hears of too.
  std::function<void(int64_t n, const std::function<void(int64_t)>& work)> parallel;
};

class MappedFile {
 public:
  /// Where one of several files lies in bytes().
  struct Part {
    uint64_t offset = 0;  // a multiple of the page size
    uint64_t size = 0;
  };

  /// Errors: not_found; io (the system refused, or the path names no regular file: folders,
  /// devices, pipes and sockets are refused by name, and opening one never blocks).
  /// An empty file gives an empty span.
  explicit MappedFile(const std::string& path, const FileOptions& = {});
  /// Files one behind the other, each from a new page on; what is between them is undefined.
  /// paths must not be empty. Errors: as above, for each.
  explicit MappedFile(const std::vector<std::string>& paths, const FileOptions& = {});
  /// A piece of a file that is open: `size` bytes (0: all there are) from offset on. The descriptor
  /// stays the caller's. Where offset is no multiple of the page size, the piece is read into
  /// memory. Errors: io (also: no regular file), bad_argument (the piece ends behind the file).
  MappedFile(int fd, uint64_t offset, uint64_t size, const std::string& name,
             const FileOptions& = {});
  /// Memory that stands for what a file holds, `size` bytes that fill writes.
  /// Errors: io; what fill throws.
  MappedFile(const std::string& path, uint64_t size,
             const std::function<void(std::span<std::byte> to)>& fill);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// Of the first file.
  const std::string& path() const noexcept { return path_; }
  const std::vector<Part>& parts() const noexcept { return parts_; }
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  bool in_memory() const noexcept { return in_memory_; }

  /// Whether the files are what they were at the beginning: as large, written to at the same time,
  /// all their pages there. Never again true once it was false. A call to the system for each file;
  /// with `soon` no more than one in 50 ms, whose answer the calls between repeat. Any thread.
  bool unchanged(bool soon = false) const noexcept;
  /// Throws io, naming the file, if not, or if the system cannot say.
  void require_unchanged() const;

  /// Ranges are clipped to the file and widened to whole pages; dont_need narrows to them.
  void will_need(uint64_t offset, uint64_t length) const noexcept;
  /// Reads the pages and maps them, which one by one on first touch costs three times as much.
  void bring_in(uint64_t offset, uint64_t length) const noexcept;
  void dont_need(uint64_t offset, uint64_t length) const noexcept;

 private:
  /// A file that is open, to ask the system about. The map itself needs no descriptor.
  struct Opened {
    explicit Opened(const std::string& path);
    /// Of a descriptor that the caller keeps.
    Opened(int given, const std::string& name);
    ~Opened();
    Opened(Opened&& other) noexcept;
    Opened& operator=(Opened&&) = delete;
    /// 0: unchanged; -1: changed; else the system's error.
    int changed() const noexcept;
    void look(const std::string& path);

    int fd = -1;
    uint64_t size = 0;
    uint64_t begin = 0;  // of the part
    int64_t written_s = 0, written_ns = 0;
  };

  void bring(uint64_t total, const FileOptions& options);
  void read_all(const FileOptions& options);
  void map_all();
  int advise(uint64_t offset, uint64_t length, int advice) const noexcept;

  std::string path_;
  std::vector<Part> parts_;
  std::vector<std::string> paths_;
  std::vector<Opened> files_;  // closed where the bytes are in memory
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t reserved_ = 0;  // of address space
  bool in_memory_ = false;
  FileGuard guard_;
  mutable std::atomic<int> changed_{0};          // as Opened::changed()
  mutable std::atomic<size_t> changed_file_{0};  // which; written before
  mutable std::atomic<int64_t> asked_ns_{0};     // when unchanged() asked the system last
};

}  // namespace nibble
