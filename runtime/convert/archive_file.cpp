#include "runtime/convert/archive_file.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <vector>

#include "formats/archive.h"
#include "formats/gguf_split.h"
#include "formats/io/atomic_file.h"
#include "formats/io/error.h"
#include "runtime/text/throw_if_cancelled.h"
#include "runtime/threads/parallel_for.h"

namespace nibble {
namespace {

using Bytes = std::vector<std::byte>;

// Frames between two questions whether to go on; all of them are in memory at once.
constexpr size_t kBatch = 8;
// Read back, a frame of another writer may be large: fewer of those at once.
constexpr uint64_t kBatchBytes = kBatch * kArchiveFrameBytes;

class ArchiveWork {
 public:
  explicit ArchiveWork(const ArchiveFileOptions& options)
      : options_(options), each_(parallel_for(options.n_threads, options.thread_source)) {}

  /// work(i) for i < n; the first error of the lowest i is thrown.
  void each(size_t n, const std::function<void(size_t)>& work) const {
    throw_if_cancelled(options_.cancel);
    std::vector<std::exception_ptr> errors(n);
    each_(static_cast<int64_t>(n), [&](int64_t i) {
      try {
        work(static_cast<size_t>(i));
      } catch (...) {
        errors[static_cast<size_t>(i)] = std::current_exception();
      }
    });
    for (const std::exception_ptr& error : errors) {
      if (error) std::rethrow_exception(error);
    }
  }

  void progress(uint64_t done, uint64_t total) const {
    if (options_.on_progress) options_.on_progress(done, total);
  }

  /// Unpacks all frames, a batch at a time, and hands them to use(frame, bytes) in order.
  void unpack(const MappedFile& archive, const ArchiveIndex& index,
              const std::function<void(const ArchiveFrame&, const Bytes&)>& use) const {
    size_t first = 0;
    while (first < index.frames.size()) {
      size_t end = first;
      uint64_t bytes = 0;
      while (end < index.frames.size() && bytes < kBatchBytes) bytes += index.frames[end++].size;
      std::vector<Bytes> out(end - first);
      each(end - first, [&](size_t i) {
        const ArchiveFrame& frame = index.frames[first + i];
        out[i].resize(frame.size);
        if (const char* problem = unpack_frame(archive.bytes(), frame, out[i])) {
          archive.require_unchanged();
          fail_frame(archive.path(), first + i, problem);
        }
      });
      for (size_t i = 0; first < end; ++first, ++i) use(index.frames[first], out[i]);
    }
    archive.require_unchanged();
  }

 private:
  const ArchiveFileOptions& options_;
  std::function<void(int64_t n, const std::function<void(int64_t)>& work)> each_;
};

void compare(const ArchiveWork& work, const std::string& temporary,
             std::span<const std::byte> source, const std::string& name) {
  const MappedFile file(temporary);
  const ArchiveIndex index = read_archive_index(file.bytes(), temporary);
  bool same = index.size == source.size();
  if (same) {
    work.unpack(file, index, [&](const ArchiveFrame& frame, const Bytes& bytes) {
      same = same && std::memcmp(bytes.data(), source.data() + frame.offset, bytes.size()) == 0;
    });
  }
  if (!same) fail(ErrorCode::io, "{}: what was written reads back differently", name);
}

}  // namespace

ArchiveFileResult archive_file(const TensorFile& in, const std::string& out,
                               const ArchiveFileOptions& options) {
  if (split_count(in) > 1) {
    throw Error(ErrorCode::bad_argument,
                fmt::format("{}: expected a model in one file, got one of {} files", in.path(),
                            split_count(in)),
                "merge them first: nibble merge");
  }
  const std::span<const std::byte> source = in.file_bytes();
  const ArchiveWork work(options);
  AtomicFileOptions how;
  how.inputs = {in.path()};
  AtomicFile file(out, how);
  std::vector<ArchiveFrame> frames;
  for (uint64_t at = 0; at < source.size();) {
    const uint64_t left = source.size() - at;
    const size_t n = static_cast<size_t>(
        std::min<uint64_t>(kBatch, (left + kArchiveFrameBytes - 1) / kArchiveFrameBytes));
    std::vector<Bytes> packed(n);
    std::vector<ArchiveFrame> rows(n);
    work.each(n, [&](size_t i) {
      const uint64_t begin = i * kArchiveFrameBytes;
      const uint64_t size = std::min(kArchiveFrameBytes, left - begin);
      packed[i] = pack_frame(source.subspan(at + begin, size), &rows[i]);
    });
    for (size_t i = 0; i < n; ++i) {
      file.write(packed[i]);
      at += rows[i].size;
    }
    frames.insert(frames.end(), rows.begin(), rows.end());
    work.progress(at, source.size());
  }
  file.write(seek_table(frames));
  const uint64_t bytes = file.size();
  file.commit([&](const std::string& temporary) {
    if (in.map() != nullptr) in.map()->require_unchanged();
    compare(work, temporary, source, file.path());
    if (in.map() != nullptr) in.map()->require_unchanged();
  });
  return {static_cast<int64_t>(frames.size()), bytes};
}

ArchiveFileResult unarchive_file(const std::string& in, const std::string& out,
                                 const ArchiveFileOptions& options) {
  const MappedFile archive(in);
  if (!probe_archive(archive.bytes())) {
    throw Error(ErrorCode::bad_argument,
                fmt::format("{}: expected a zstd archive with a seek table, got none", in),
                "zstd -d unpacks ordinary zstd files");
  }
  const ArchiveIndex index = read_archive_index(archive.bytes(), in);
  const ArchiveWork work(options);
  AtomicFileOptions how;
  how.inputs = {in};
  how.expected_bytes = index.size;
  AtomicFile file(out, how);
  work.unpack(archive, index, [&](const ArchiveFrame& frame, const Bytes& bytes) {
    file.write(bytes);
    work.progress(frame.offset + frame.size, index.size);
  });
  file.commit();
  return {static_cast<int64_t>(index.frames.size()), index.size};
}

}  // namespace nibble
