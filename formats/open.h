#pragma once
// The table of file formats: one row each, in the order they are tried.
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "formats/tensor_file.h"

namespace nibble {

/// What a format's reader gets: the bytes, and the map that owns them (nullptr: a caller's memory).
struct FileSource {
  std::string name;  // path, for messages
  std::unique_ptr<MappedFile> map;
  std::span<const std::byte> bytes;
};

struct FileFormat {
  const char* name;
  /// Whether the bytes claim to be this format (magic only; read() judges the rest).
  bool (*probe)(std::span<const std::byte> bytes) noexcept;
  /// Errors: bad_file, unsupported.
  TensorFile (*read)(FileSource source);
};

std::span<const FileFormat> file_formats() noexcept;

}  // namespace nibble
