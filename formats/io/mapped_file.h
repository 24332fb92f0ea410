#pragma once
// A regular file, or several as if they were one, mapped read-only. Pages come in on first touch
// and can be asked for ahead (will_need, bring_in) or given back (dont_need); all are advice and
// never fail. Whoever truncates the file while it is mapped takes the pages away (SIGBUS on touch):
// writers of model files must replace them by rename, as AtomicFile does.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace nibble {

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
  explicit MappedFile(const std::string& path);
  /// Files one behind the other, each from a new page on; what is between them is undefined.
  /// paths must not be empty. Errors: as above, for each.
  explicit MappedFile(const std::vector<std::string>& paths);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// Of the first file.
  const std::string& path() const noexcept { return path_; }
  const std::vector<Part>& parts() const noexcept { return parts_; }
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  /// Ranges are clipped to the file and widened to whole pages; dont_need narrows to them.
  void will_need(uint64_t offset, uint64_t length) const noexcept;
  /// Reads the pages and maps them, which one by one on first touch costs three times as much.
  void bring_in(uint64_t offset, uint64_t length) const noexcept;
  void dont_need(uint64_t offset, uint64_t length) const noexcept;

 private:
  int advise(uint64_t offset, uint64_t length, int advice) const noexcept;

  std::string path_;
  std::vector<Part> parts_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t reserved_ = 0;  // of address space
};

}  // namespace nibble
