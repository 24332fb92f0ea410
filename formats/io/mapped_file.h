#pragma once
// A regular file mapped read-only. Pages come in on first touch and can be asked for ahead
// (will_need, bring_in) or given back (dont_need); all are advice and never fail.
// Whoever truncates the file while it is mapped takes the pages away (SIGBUS on touch): writers of
// model files must replace them by rename, as AtomicFile does.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace nibble {

class MappedFile {
 public:
  /// Errors: not_found; io (the system refused, or the path names no regular file: folders,
  /// devices, pipes and sockets are refused by name, and opening one never blocks).
  /// An empty file gives an empty span.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const noexcept { return path_; }
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  /// Ranges are clipped to the file and widened to whole pages; dont_need narrows to them.
  void will_need(uint64_t offset, uint64_t length) const noexcept;
  /// Reads the pages and maps them, which one by one on first touch costs three times as much.
  void bring_in(uint64_t offset, uint64_t length) const noexcept;
  void dont_need(uint64_t offset, uint64_t length) const noexcept;

 private:
  int advise(uint64_t offset, uint64_t length, int advice) const noexcept;

  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace nibble
