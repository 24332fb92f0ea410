#pragma once
// A model file in a zstd archive (formats/archive.h), and the way back, byte for byte. Besides its
// source, memory holds a few frames a thread.
#include <cstdint>
#include <functional>
#include <string>

#include "formats/tensor_file.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/thread_source.h"

namespace nibble {

struct ArchiveFileOptions {
  int n_threads = 0;           // 0: what suits the machine
  ThreadSource thread_source;  // where they come from
  /// Called with bytes done and bytes in all, from the calling thread; may be empty.
  std::function<void(uint64_t done, uint64_t total)> on_progress;
  const CancelToken* cancel = nullptr;  // not owned
};

struct ArchiveFileResult {
  int64_t n_frames = 0;
  uint64_t bytes = 0;  // of the new file
};

/// The new file appears whole, and unpacked once to compare, or not at all. Errors: bad_argument
/// (one of several files; out is the input), io, cancelled.
ArchiveFileResult archive_file(const TensorFile& in, const std::string& out,
                               const ArchiveFileOptions& options = {});

/// What the archive `in` holds, whatever it is, as a file. Errors: bad_argument (no archive; out is
/// the input), bad_file (names the frame), io, cancelled.
ArchiveFileResult unarchive_file(const std::string& in, const std::string& out,
                                 const ArchiveFileOptions& options = {});

}  // namespace nibble
