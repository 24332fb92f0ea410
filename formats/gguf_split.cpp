#include "formats/gguf_split.h"

#include <fmt/format.h>

#include <algorithm>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "formats/io/quote.h"

namespace nibble {
namespace {

int64_t whole_number(const TensorFile& file, const char* key, int64_t most, int64_t missing) {
  const int64_t value = file.meta().get_int(key).value_or(missing);
  if (value < 0 || value > most) {
    fail(ErrorCode::bad_file, "{}: metadata key '{}': expected 0 to {}, got {}", file.path(), key,
         most, value);
  }
  return value;
}

}  // namespace

std::string shard_path(std::string_view prefix, int64_t no, int64_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, no + 1, count);
}

int64_t split_count(const TensorFile& file) {
  return std::max<int64_t>(whole_number(file, kSplitCountKey, kMaxShards, 1), 1);
}

/// Puts the files of one model together.
class ShardReader {
 public:
  explicit ShardReader(const TensorFile& first) : count_(split_count(first)) {
    const int64_t no = whole_number(first, kSplitNoKey, kMaxShards, 0);
    const std::string ending = shard_path("", no, count_);
    const std::string& path = first.path();
    if (!path.ends_with(ending)) {
      throw Error(ErrorCode::bad_argument,
                  fmt::format("{}: the file is part {} of {}: expected a name that ends in {}",
                              path, no + 1, count_, ending),
                  "the parts of a model find each other by their names");
    }
    const std::string prefix = path.substr(0, path.size() - ending.size());
    if (no != 0) {
      throw Error(ErrorCode::bad_argument,
                  fmt::format("{}: expected the first file of the model, got part {} of {}", path,
                              no + 1, count_),
                  "open " + shard_path(prefix, 0, count_));
    }
    for (int64_t i = 0; i < count_; ++i) paths_.push_back(shard_path(prefix, i, count_));
  }

  TensorFile read(const FileOptions& options) {
    std::unique_ptr<MappedFile> map = map_all(options);
    TensorFile out;
    for (size_t i = 0; i < paths_.size(); ++i) {
      const MappedFile::Part part = map->parts()[i];
      TensorFile file = read_part(paths_[i], map->bytes().subspan(part.offset, part.size));
      check_part(file, static_cast<int64_t>(i));
      for (TensorInfo& info : file.tensors_) info.offset += part.offset;
      if (i == 0) {
        out = std::move(file);
        continue;
      }
      std::move(file.tensors_.begin(), file.tensors_.end(), std::back_inserter(out.tensors_));
      for (std::string& text : file.warnings_) {
        out.warnings_.push_back(paths_[i] + ": " + std::move(text));
      }
    }
    out.meta_ = without_split_keys(out.meta_);
    out.paths_ = paths_;
    out.bytes_ = map->bytes();
    out.map_ = std::move(map);
    index_names(out);
    return out;
  }

 private:
  std::unique_ptr<MappedFile> map_all(const FileOptions& options) const {
    try {
      return std::make_unique<MappedFile>(paths_, options);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::not_found) throw;
      throw Error(
          e.code(), e.message(),
          fmt::format("the model is split into {} files, which belong into one folder", count_));
    }
  }

  /// What is written of the whole is not a part.
  static Metadata without_split_keys(const Metadata& from) {
    Metadata out;
    out.set_file(from.file());
    for (const MetaValue& value : from.all()) {
      if (value.key != kSplitNoKey && value.key != kSplitCountKey &&
          value.key != kSplitTensorsKey) {
        out.add(value);
      }
    }
    (void)out.build_index();  // which found nothing twice before
    return out;
  }

  static TensorFile read_part(const std::string& path, std::span<const std::byte> bytes) {
    if (!probe_gguf(bytes)) fail(ErrorCode::bad_file, "{}: expected a GGUF file", path);
    return read_gguf({path, nullptr, bytes});
  }

  void check_part(const TensorFile& file, int64_t no) {
    const int64_t tensors = whole_number(file, kSplitTensorsKey, kGgufMaxTensors, 0);
    if (no == 0) n_tensors_ = tensors;
    const int64_t got_no = whole_number(file, kSplitNoKey, kMaxShards, 0);
    const int64_t got_count = split_count(file);
    if (got_no != no || got_count != count_ || tensors != n_tensors_) {
      throw Error(
          ErrorCode::bad_file,
          fmt::format("{}: expected part {} of {} of a model of {} tensors, got part {} of "
                      "{} of one of {}",
                      file.path(), no + 1, count_, n_tensors_, got_no + 1, got_count, tensors),
          "files of different models have been mixed");
    }
  }

  void index_names(TensorFile& out) const {
    const std::vector<TensorInfo>& tensors = out.tensors_;
    if (static_cast<int64_t>(tensors.size()) != n_tensors_) {
      fail(ErrorCode::bad_file, "{}: expected {} tensors in all {} files, got {}", paths_[0],
           n_tensors_, count_, tensors.size());
    }
    std::vector<uint32_t>& index = out.by_name_;
    index.resize(tensors.size());
    for (uint32_t i = 0; i < index.size(); ++i) index[i] = i;
    std::sort(index.begin(), index.end(),
              [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; });
    for (size_t i = 1; i < index.size(); ++i) {
      if (tensors[index[i - 1]].name != tensors[index[i]].name) continue;
      fail(ErrorCode::bad_file, "{}: tensor {} occurs in two of the {} files", paths_[0],
           quoted(tensors[index[i]].name), count_);
    }
  }

  int64_t count_;
  int64_t n_tensors_ = 0;
  std::vector<std::string> paths_;
};

TensorFile read_shards(const TensorFile& first, const FileOptions& options) {
  return ShardReader(first).read(options);
}

}  // namespace nibble
