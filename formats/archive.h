#pragma once
// Archives: a file in zstd's seekable format, frames that unpack one without the other and a table
// of them at the end with a hash of each. A model in one is read into memory, frame by frame, with
// no other file. docs/format.md specifies what nibble reads and writes.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "formats/io/mapped_file.h"

namespace nibble {

/// One row of the table, placed.
struct ArchiveFrame {
  uint64_t at = 0;        // in the archive
  uint64_t packed = 0;    // bytes there
  uint64_t offset = 0;    // in what it holds
  uint64_t size = 0;      // bytes there
  bool has_hash = false;  // hash is the low half of XXH64 of those
  uint32_t hash = 0;
};

struct ArchiveIndex {
  std::vector<ArchiveFrame> frames;
  uint64_t size = 0;  // of what it holds
};

/// Whether the bytes begin as zstd does and end as a seek table does.
bool probe_archive(std::span<const std::byte> bytes) noexcept;

/// Errors: bad_file (the table contradicts itself or the file; a frame claims to hold more than
/// zstd can pack into it).
ArchiveIndex read_archive_index(std::span<const std::byte> bytes, const std::string& name);

/// What is wrong with a frame; nullptr if `to`, as large as the frame says, has what it holds.
const char* unpack_frame(std::span<const std::byte> archive, const ArchiveFrame& frame,
                         std::span<std::byte> to) noexcept;

/// Throws bad_file, naming the frame, for what unpack_frame said.
[[noreturn]] void fail_frame(const std::string& name, size_t frame, const char* problem);

/// What an archive holds, in memory, unpacked by options.parallel; options.on_read hears of it.
/// Errors: as read_archive_index; bad_file names a broken frame; out_of_memory (more than the
/// machine has); io (the archive changed meanwhile); what on_read throws.
std::unique_ptr<MappedFile> unpack_archive(const MappedFile& archive, const FileOptions& options);

/// The frame of so many bytes; the seek table of frames. Errors: std::bad_alloc, internal.
std::vector<std::byte> pack_frame(std::span<const std::byte> bytes, ArchiveFrame* frame);
std::vector<std::byte> seek_table(std::span<const ArchiveFrame> frames);

/// Bytes in a frame that nibble writes, the last one excepted.
inline constexpr uint64_t kArchiveFrameBytes = uint64_t{4} << 20;

}  // namespace nibble
