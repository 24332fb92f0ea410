#include "formats/open.h"

#include "formats/archive.h"
#include "formats/foreign.h"
#include "formats/gguf.h"
#include "formats/gguf_split.h"
#include "formats/io/error.h"
#include "formats/io/mapped_file.h"

namespace nibble {
namespace {

constexpr FileFormat kFormats[] = {
    // name, probe, read
    {"gguf", probe_gguf, read_gguf},
};

TensorFile open_source(FileSource source) {
  for (const FileFormat& format : kFormats) {
    if (format.probe(source.bytes)) return format.read(std::move(source));
  }
  fail_foreign(source.bytes, source.name);
}

TensorFile open_map(std::unique_ptr<MappedFile> map, const FileOptions& options) {
  FileSource source{map->path(), std::move(map), {}};
  if (probe_archive(source.map->bytes())) source.map = unpack_archive(*source.map, options);
  source.bytes = source.map->bytes();
  return open_source(std::move(source));
}

TensorFile open_shard(const std::string& path, const FileOptions& options) {
  return open_map(std::make_unique<MappedFile>(path, options), options);
}

void require_whole(const TensorFile& file) {
  if (split_count(file) > 1) {
    fail(ErrorCode::unsupported, "{}: expected a whole model, got one of {} files", file.path(),
         split_count(file));
  }
}

}  // namespace

std::span<const FileFormat> file_formats() noexcept {
  return kFormats;
}

TensorFile open_tensor_shard(const std::string& path) {
  return open_shard(path, {});
}

TensorFile open_tensor_file(const std::string& path) {
  return open_tensor_file(path, FileOptions());
}

TensorFile open_tensor_file(const std::string& path, const FileOptions& options) {
  FileOptions first = options;
  first.in_memory = false;
  TensorFile file = open_shard(path, first);
  const bool unpacked = file.map()->in_memory();
  if (unpacked && split_count(file) > 1) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: expected a whole model in an archive, got one of {} files", path,
                            split_count(file)),
                "unpack the parts, and merge them with nibble merge");
  }
  if (split_count(file) > 1) return read_shards(file, options);
  return options.in_memory && !unpacked ? open_shard(path, options) : std::move(file);
}

TensorFile open_tensor_memory(std::span<const std::byte> bytes, const std::string& name) {
  if (reinterpret_cast<uintptr_t>(bytes.data()) % 8 != 0) {
    fail(ErrorCode::bad_argument, "{}: expected memory aligned to 8 bytes", name);
  }
  TensorFile file = open_source(FileSource{name, nullptr, bytes});
  require_whole(file);
  return file;
}

TensorFile open_tensor_map(std::unique_ptr<MappedFile> map, const FileOptions& options) {
  TensorFile file = open_map(std::move(map), options);
  require_whole(file);
  return file;
}

}  // namespace nibble
