#include "formats/hf_folder.h"

#include <algorithm>
#include <filesystem>

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/quote.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfig = 16 << 20;
constexpr uint64_t kMaxTokenizer = 256 << 20;
constexpr uint64_t kMaxIndex = 64 << 20;
constexpr size_t kMaxShards = 1 << 14;

constexpr const char* kSafeHint =
    "load it with transformers and save it with safe_serialization=True, or get the safetensors";

bool is_pickle_name(std::string_view name) {
  for (const std::string_view end : {".pt", ".pth", ".ckpt", ".pkl", ".pickle"}) {
    if (name.ends_with(end)) return true;
  }
  return name.starts_with("pytorch_model") && name.ends_with(".bin");
}

[[noreturn]] void fail_pickle(const std::string& path) {
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: expected safetensors, got a Python pickle, which can run programs "
                          "and is not opened",
                          path),
              kSafeHint);
}

std::string_view checked_text(const MappedFile& map, uint64_t max_bytes) {
  if (map.bytes().size() > max_bytes) {
    fail(ErrorCode::bad_file, "{}: expected at most {} bytes, got {}", map.path(), max_bytes,
         map.bytes().size());
  }
  return as_text(map.bytes());
}

}  // namespace

void refuse_pickle(const std::string& path, std::span<const std::byte> bytes) {
  const std::string_view head = as_text(bytes.first(std::min<size_t>(bytes.size(), 4)));
  const bool zip = head.starts_with("PK\x03\x04");
  const bool pickle = head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5;
  if (zip || pickle || is_pickle_name(fs::path(path).filename().string())) fail_pickle(path);
}

void check_shard_name(std::string_view name, const std::string& where) {
  const bool single = name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
  if (is_pickle_name(name)) fail_pickle(fmt::format("{}: {}", where, nibble::quoted(name)));
  if (single && name.ends_with(".safetensors") && name.size() <= 255 && !name.starts_with('.')) {
    return;
  }
  throw Error(ErrorCode::bad_file,
              fmt::format("{}: expected the name of a safetensors file in the same folder, got {}",
                          where, nibble::quoted(name)),
              "an index that points elsewhere is not followed");
}

JsonFile::JsonFile(const std::string& path, uint64_t max_bytes)
    : map_(path), document_(checked_text(map_, max_bytes), path) {}

HfFolder HfFolder::open(const std::string& path) {
  HfFolder folder;
  std::error_code ignored;
  std::string only;
  folder.path_ = path;
  if (!fs::is_directory(path, ignored)) {
    const fs::path file(path);
    only = file.filename().string();
    folder.path_ = file.has_parent_path() ? file.parent_path().string() : ".";
  }
  while (folder.path_.size() > 1 && folder.path_.ends_with('/')) folder.path_.pop_back();
  folder.open_weights(only);
  folder.open_texts();
  return folder;
}

std::string HfFolder::name() const {
  std::error_code failed;
  const fs::path real = fs::canonical(path_, failed);
  return failed ? std::string() : real.filename().string();
}

void HfFolder::require_unchanged() const {
  for (const auto* file :
       {&config_, &generation_, &tokenizer_, &tokenizer_config_, &added_tokens_}) {
    if (*file) (*file)->map().require_unchanged();
  }
  if (tokenizer_model_) tokenizer_model_->require_unchanged();
  for (const SafetensorsFile& shard : shards_) {
    if (shard.map() != nullptr) shard.map()->require_unchanged();
  }
}

std::unique_ptr<MappedFile> HfFolder::map_if_there(const std::string& name) {
  const std::string path = path_ + "/" + name;
  try {
    auto map = std::make_unique<MappedFile>(path);
    files_.push_back(path);
    return map;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) return nullptr;
    throw;
  }
}

std::unique_ptr<JsonFile> HfFolder::json_if_there(const char* name, uint64_t max_bytes) {
  const std::string path = path_ + "/" + name;
  try {
    auto file = std::make_unique<JsonFile>(path, max_bytes);
    files_.push_back(path);
    return file;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) return nullptr;
    throw;
  }
}

void HfFolder::open_texts() {
  config_ = json_if_there("config.json", kMaxConfig);
  if (!config_) {
    throw Error(ErrorCode::not_found, fmt::format("{}/config.json: expected one, got none", path_),
                "a model folder holds config.json, a tokenizer and *.safetensors");
  }
  generation_ = json_if_there("generation_config.json", kMaxConfig);
  tokenizer_ = json_if_there("tokenizer.json", kMaxTokenizer);
  tokenizer_config_ = json_if_there("tokenizer_config.json", kMaxTokenizer);
  added_tokens_ = json_if_there("added_tokens.json", kMaxConfig);
  modules_ = json_if_there("modules.json", kMaxConfig);
  pooling_ = json_if_there("1_Pooling/config.json", kMaxConfig);
  tokenizer_model_ = map_if_there("tokenizer.model");
  read_chat_template();
}

// The file of its own comes first, as in transformers; of several templates the one named default.
void HfFolder::read_chat_template() {
  if (const auto map = map_if_there("chat_template.jinja")) {
    chat_template_ = checked_text(*map, kMaxConfig);
    return;
  }
  JsonValue value = tokenizer_config().find("chat_template");
  if (!value.exists() || value.is(JsonType::null)) {
    if (const auto file = json_if_there("chat_template.json", kMaxConfig)) {
      chat_template_ = file->root().find("chat_template").text().value_or("");
    }
    return;
  }
  if (value.is(JsonType::array)) {
    JsonValue chosen;
    for (auto i = value.walk(); i.next();) {
      const bool is_default = i.value().find("name").text() == "default";
      if (is_default || !chosen.exists()) chosen = i.value().find("template");
      if (is_default) break;
    }
    value = chosen;
  }
  const auto text = value.text();
  if (!text) {
    fail(ErrorCode::bad_file, "{}/tokenizer_config.json: chat_template: expected a text", path_);
  }
  chat_template_ = *text;
}

void HfFolder::open_weights(const std::string& only) {
  constexpr const char* kIndex = "model.safetensors.index.json";
  if (!only.empty()) {
    refuse_pickle(path_ + "/" + only, {});
    return add_shard(only);
  }
  if (const auto index = json_if_there(kIndex, kMaxIndex)) {
    return open_shards(index->root(), index->path());
  }
  std::error_code ignored;
  if (!fs::exists(fs::path(path_) / "model.safetensors", ignored)) refuse_without_weights();
  add_shard("model.safetensors");
}

void HfFolder::open_shards(JsonValue index, const std::string& index_path) {
  const JsonValue weights = index.find("weight_map");
  if (!weights.is(JsonType::object) || weights.size() == 0) {
    fail(ErrorCode::bad_file, "{}: weight_map: expected file names by tensor", index_path);
  }
  std::vector<std::string> names;
  for (auto i = weights.walk(); i.next();) {
    const auto name = i.value().text();
    const std::string where = fmt::format("{}: tensor {}", index_path, nibble::quoted(i.key()));
    if (!name) fail(ErrorCode::bad_file, "{}: expected a file name", where);
    check_shard_name(*name, where);
    if (names.empty() || names.back() != *name) names.emplace_back(*name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (names.size() > kMaxShards) {
    fail(ErrorCode::bad_file, "{}: expected at most {} files, got {}", index_path, kMaxShards,
         names.size());
  }
  shards_.reserve(names.size());
  for (const std::string& name : names) add_shard(name);
  check_index(weights, index_path);
}

void HfFolder::add_shard(const std::string& name) {
  // The table of tensors points into the vector: it must not move them.
  if (shards_.capacity() == 0) shards_.reserve(1);
  shards_.push_back(open_safetensors(path_ + "/" + name));
  const SafetensorsFile& file = shards_.back();
  files_.push_back(file.path());
  for (const SafeTensor& tensor : file.tensors()) {
    const auto [at, fresh] = tensors_.try_emplace(tensor.name, FolderTensor{&file, &tensor});
    if (!fresh) {
      fail(ErrorCode::bad_file, "{}: tensor {}: expected it once, got it in {} too", file.path(),
           nibble::quoted(tensor.name), at->second.file->path());
    }
  }
}

void HfFolder::check_index(JsonValue weights, const std::string& index_path) const {
  for (auto i = weights.walk(); i.next();) {
    const FolderTensor found = find(i.key());
    const std::string_view name = *i.value().text();
    if (found && found.file->path() == path_ + "/" + std::string(name)) continue;
    fail(ErrorCode::bad_file, "{}: tensor {}: expected it in {}, got none there", index_path,
         nibble::quoted(i.key()), nibble::quoted(name));
  }
}

void HfFolder::refuse_without_weights() const {
  std::error_code failed;
  std::string pickle;
  for (fs::directory_iterator i(path_, failed), end; !failed && i != end; i.increment(failed)) {
    const std::string name = i->path().filename().string();
    if (is_pickle_name(name) && (pickle.empty() || name < pickle)) pickle = name;
  }
  if (!pickle.empty()) fail_pickle(path_ + "/" + pickle);
  throw Error(ErrorCode::not_found,
              fmt::format("{}: expected model.safetensors or model.safetensors.index.json, got "
                          "neither",
                          path_),
              "a model folder holds config.json, a tokenizer and *.safetensors");
}

FolderTensor HfFolder::find(std::string_view name) const noexcept {
  const auto at = tensors_.find(name);
  return at == tensors_.end() ? FolderTensor() : at->second;
}

}  // namespace nibble
