#pragma once
// Writes a safetensors file from front to back: the header at once, then the data of each tensor in
// the order given, in pieces of any size. The file appears at finish(), whole and verified, or not
// at all (AtomicFile).
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "formats/io/atomic_file.h"
#include "formats/safetensors.h"

namespace nibble {

class SafetensorsWriter {
 public:
  /// Of tensors, name, type and shape count. Errors: bad_argument (a name that is no UTF-8 or
  /// occurs twice), those of AtomicFile.
  SafetensorsWriter(const std::string& path, std::vector<SafeTensor> tensors,
                    AtomicFileOptions options = {});
  ~SafetensorsWriter();

  /// The next bytes of the data.
  void write(std::span<const std::byte> bytes);
  uint64_t file_bytes() const noexcept { return file_bytes_; }
  /// Reads the file back, compares, and puts it in place. bad_argument while bytes are missing.
  void finish();

 private:
  struct Hash;
  void put(std::span<const std::byte> bytes);
  void verify(const std::string& temporary) const;

  std::vector<SafeTensor> tensors_;
  std::string header_;  // with its length in front
  uint64_t file_bytes_ = 0;
  std::unique_ptr<AtomicFile> file_;
  std::unique_ptr<Hash> hash_;  // of everything written
};

/// Size of such a file without writing it.
uint64_t safetensors_file_bytes(std::vector<SafeTensor> tensors);

}  // namespace nibble
