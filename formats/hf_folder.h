#pragma once
// A model folder as the Hugging Face ecosystem lays it out: config.json and its companions, a
// tokenizer, weights in one safetensors file or in shards that an index lists. Names that a file of
// the folder gives are single names: nothing outside the folder is opened because a file says so.
// Pickles (pytorch_model.bin, *.pt ...) can run programs when they are read; they are refused.
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/json.h"
#include "formats/safetensors.h"

namespace nibble {

/// A JSON file with the map that its texts are views into.
class JsonFile {
 public:
  /// Errors: not_found, io, bad_file (no JSON, or more than max_bytes).
  JsonFile(const std::string& path, uint64_t max_bytes);
  JsonValue root() const noexcept { return document_.root(); }
  const std::string& path() const noexcept { return map_.path(); }
  const MappedFile& map() const noexcept { return map_; }

 private:
  MappedFile map_;
  JsonDocument document_;
};

/// A tensor of the folder.
struct FolderTensor {
  const SafetensorsFile* file = nullptr;
  const SafeTensor* tensor = nullptr;
  explicit operator bool() const noexcept { return tensor != nullptr; }
};

class HfFolder {
 public:
  /// A folder, or one safetensors file whose folder has the rest. Errors: not_found, io, bad_file,
  /// unsupported (pickles, by name).
  static HfFolder open(const std::string& path);

  const std::string& path() const noexcept { return path_; }
  /// Name of the folder itself, for general.name; "" if it has none.
  std::string name() const;
  JsonValue config() const noexcept { return config_->root(); }
  const std::string& config_path() const noexcept { return config_->path(); }
  // Absent files are absent values.
  JsonValue generation_config() const noexcept { return root_of(generation_); }
  JsonValue tokenizer() const noexcept { return root_of(tokenizer_); }
  JsonValue tokenizer_config() const noexcept { return root_of(tokenizer_config_); }
  JsonValue added_tokens() const noexcept { return root_of(added_tokens_); }
  /// Of sentence-transformers: the steps from tokens to a vector, and how it pools.
  JsonValue modules() const noexcept { return root_of(modules_); }
  JsonValue pooling() const noexcept { return root_of(pooling_); }
  /// tokenizer.model; nullptr if there is none.
  const MappedFile* tokenizer_model() const noexcept { return tokenizer_model_.get(); }
  /// chat_template.jinja, or the JSON files' own; "" if there is none.
  const std::string& chat_template() const noexcept { return chat_template_; }

  const std::vector<SafetensorsFile>& shards() const noexcept { return shards_; }
  FolderTensor find(std::string_view name) const noexcept;
  /// Every file that was opened.
  const std::vector<std::string>& files() const noexcept { return files_; }
  /// Throws io if one of them was written to or truncated since.
  void require_unchanged() const;

 private:
  static JsonValue root_of(const std::unique_ptr<JsonFile>& file) noexcept {
    return file ? file->root() : JsonValue();
  }
  std::unique_ptr<JsonFile> json_if_there(const char* name, uint64_t max_bytes);
  std::unique_ptr<MappedFile> map_if_there(const std::string& name);
  void open_texts();
  void read_chat_template();
  void open_weights(const std::string& only);
  void open_shards(JsonValue index, const std::string& index_path);
  void add_shard(const std::string& name);
  void check_index(JsonValue weights, const std::string& index_path) const;
  [[noreturn]] void refuse_without_weights() const;

  std::string path_;
  std::unique_ptr<JsonFile> config_, generation_, tokenizer_, tokenizer_config_, added_tokens_,
      modules_, pooling_;
  std::unique_ptr<MappedFile> tokenizer_model_;
  std::string chat_template_;
  std::vector<SafetensorsFile> shards_;
  std::unordered_map<std::string_view, FolderTensor> tensors_;
  std::vector<std::string> files_;
};

/// Refuses a name that an index gives unless it is that of a safetensors file in the same folder.
/// where: what names it, for messages. Error: bad_file.
void check_shard_name(std::string_view name, const std::string& where);

/// Refuses a pickle by its name or its first bytes. Error: unsupported.
void refuse_pickle(const std::string& path, std::span<const std::byte> bytes);

}  // namespace nibble
