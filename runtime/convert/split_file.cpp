#include "runtime/convert/split_file.h"

#include <algorithm>
#include <filesystem>

#include "formats/gguf.h"
#include "formats/gguf_split.h"
#include "formats/io/error.h"
#include "formats/tensor_hashes.h"
#include "runtime/convert/copy_tensor.h"

namespace nibble {
namespace {

constexpr const char* kSplitKeys[] = {kSplitNoKey, kSplitCountKey, kSplitTensorsKey};

/// Indices of the tensors of each part, [first, end).
struct Part {
  size_t first = 0;
  size_t end = 0;
};

std::vector<Part> plan_parts(const TensorFile& in, const SplitFileOptions& options) {
  std::vector<Part> parts(1);
  uint64_t bytes = 0;
  for (size_t i = 0; i < in.tensors().size(); ++i) {
    const uint64_t more = in.tensors()[i].bytes;
    const auto n = static_cast<int64_t>(i - parts.back().first);
    const bool full = bytes > options.max_bytes || more > options.max_bytes - bytes ||
                      (options.max_tensors > 0 && n >= options.max_tensors);
    if (n > 0 && full) {
      parts.push_back({i, i});
      bytes = 0;
    }
    parts.back().end = i + 1;
    bytes += more;
  }
  if (parts.size() > static_cast<size_t>(kMaxShards)) {
    fail(ErrorCode::bad_argument, "{}: expected at most {} parts, got {}", in.path(), kMaxShards,
         parts.size());
  }
  return parts;
}

/// The first part has all metadata.
GgufHeader header_of(const TensorFile& in, const std::vector<Part>& parts, size_t no) {
  GgufHeader header;
  if (no == 0) {
    header.copy_metadata(in.meta());
    for (const char* key : kSplitKeys) header.remove(key);
  } else {
    if (const MetaValue* alignment = in.meta().find(kGgufAlignmentKey)) {
      header.set_value(*alignment);
    }
    if (in.meta().find(kTensorHashesKey) != nullptr) header.want_hashes();
  }
  header.set(kSplitNoKey, static_cast<uint16_t>(no));
  header.set(kSplitCountKey, static_cast<uint16_t>(parts.size()));
  header.set(kSplitTensorsKey, static_cast<int32_t>(in.tensors().size()));
  for (size_t i = parts[no].first; i < parts[no].end; ++i) header.add_tensor(in.tensors()[i]);
  return header;
}

/// Copies tensors and counts them.
class Copier {
 public:
  Copier(const TensorFile& in, const SplitFileOptions& options) : in_(in), options_(options) {
    for (const TensorInfo& info : in.tensors()) total_ += info.bytes;
  }

  void write(const std::string& out, const GgufHeader& header, Part part) {
    GgufWriter writer(out, header, {.inputs = in_.paths()});
    for (size_t i = part.first; i < part.end; ++i) {
      const TensorInfo& info = in_.tensors()[i];
      copy_tensor(in_, info, writer, options_.cancel);
      done_ += info.bytes;
      ++result.n_tensors;
      if (options_.on_progress) options_.on_progress(done_, total_);
    }
    in_.require_unchanged();
    writer.finish();
    result.files.push_back(out);
    result.bytes += writer.file_bytes();
  }

  SplitFileResult result;

 private:
  const TensorFile& in_;
  const SplitFileOptions& options_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

}  // namespace

SplitFileResult split_file(const TensorFile& in, const std::string& prefix,
                           const SplitFileOptions& options) {
  const std::vector<Part> parts = plan_parts(in, options);
  const auto n = static_cast<int64_t>(parts.size());
  std::error_code unused;
  for (int64_t i = 0; i < n; ++i) {
    const std::string path = shard_path(prefix, i, n);
    if (!std::filesystem::exists(std::filesystem::symlink_status(path, unused))) continue;
    throw Error(ErrorCode::bad_argument,
                fmt::format("{}: expected no file of this name, got one", path),
                "remove it, or name the parts differently");
  }
  Copier copier(in, options);
  try {
    for (size_t i = 0; i < parts.size(); ++i) {
      copier.write(shard_path(prefix, static_cast<int64_t>(i), n), header_of(in, parts, i),
                   parts[i]);
    }
  } catch (...) {
    for (const std::string& path : copier.result.files) std::filesystem::remove(path, unused);
    throw;
  }
  return std::move(copier.result);
}

SplitFileResult merge_files(const TensorFile& in, const std::string& out,
                            const SplitFileOptions& options) {
  if (in.paths().size() == 1 && in.meta().find(kSplitCountKey) == nullptr) {
    fail(ErrorCode::bad_argument, "{}: expected a part of a split model, got a whole one",
         in.path());
  }
  GgufHeader header;
  header.copy_metadata(in.meta());
  for (const char* key : kSplitKeys) header.remove(key);
  for (const TensorInfo& info : in.tensors()) header.add_tensor(info);
  Copier copier(in, options);
  copier.write(out, header, {0, in.tensors().size()});
  return std::move(copier.result);
}

}  // namespace nibble
