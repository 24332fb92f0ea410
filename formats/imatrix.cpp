#include "formats/imatrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <span>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "quant/dtype.h"

namespace nibble {
namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr const char* kDatasetsKey = "imatrix.datasets";
constexpr const char* kChunkCountKey = "imatrix.chunk_count";
constexpr const char* kChunkSizeKey = "imatrix.chunk_size";
constexpr const char* kTextHashKey = "nibble.imatrix.text_hash";

struct Pair {
  const TensorInfo* sums = nullptr;
  const TensorInfo* counts = nullptr;
};

std::vector<float> read_floats(const TensorFile& file, const TensorInfo& info) {
  if (info.type_id != static_cast<uint32_t>(DType::F32)) {
    fail(ErrorCode::bad_file, "{}: tensor {}: expected type F32, got type {}", file.path(),
         quoted(info.name), info.type_id);
  }
  const std::span<const std::byte> bytes = file.data(info);
  std::vector<float> out(bytes.size() / sizeof(float));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
  for (size_t i = 0; i < out.size(); ++i) {
    if (std::isfinite(out[i]) && out[i] >= 0) continue;
    fail(ErrorCode::bad_file, "{}: tensor {}: expected finite numbers from 0 on, got {} at {}",
         file.path(), quoted(info.name), out[i], i);
  }
  return out;
}

int64_t read_count(const TensorFile& file, const char* key) {
  const int64_t value = file.meta().get_int(key).value_or(0);
  if (value < 0) {
    fail(ErrorCode::bad_file, "{}: metadata key '{}': expected 0 or more, got {}", file.path(), key,
         value);
  }
  return value;
}

ImatrixEntry read_entry(const TensorFile& file, const std::string& name, const Pair& pair) {
  if (pair.sums == nullptr || pair.counts == nullptr) {
    fail(ErrorCode::bad_file, "{}: matrix {}: expected sums and counts, got only one of them",
         file.path(), quoted(name));
  }
  ImatrixEntry entry;
  entry.name = name;
  entry.sums = read_floats(file, *pair.sums);
  entry.counts = read_floats(file, *pair.counts);
  entry.cols = pair.sums->cols();
  const auto n = static_cast<size_t>(pair.sums->rows());
  if (entry.sums.empty() || n == 0) {
    fail(ErrorCode::bad_file, "{}: matrix {}: expected sums, got none", file.path(), quoted(name));
  }
  // One count may stand for all matrices of a tensor.
  if (entry.counts.size() == 1 && n > 1) entry.counts.resize(n, entry.counts[0]);
  if (entry.counts.size() != n) {
    fail(ErrorCode::bad_file, "{}: matrix {}: expected {} counts, got {}", file.path(),
         quoted(name), n, entry.counts.size());
  }
  return entry;
}

TensorInfo float_tensor(const std::string& name, int64_t rows, int64_t cols) {
  TensorInfo info;
  info.name = name;
  info.type_id = static_cast<uint32_t>(DType::F32);
  info.n_dims = 2;
  info.shape[0] = rows;
  info.shape[1] = cols;
  return info;
}

}  // namespace

const ImatrixEntry* Imatrix::find(std::string_view name) const noexcept {
  const auto at = std::lower_bound(
      entries.begin(), entries.end(), name,
      [](const ImatrixEntry& entry, std::string_view key) { return entry.name < key; });
  return at != entries.end() && at->name == name ? &*at : nullptr;
}

Imatrix read_imatrix(const TensorFile& file) {
  const auto type = file.meta().get_string("general.type");
  if (!type || *type != kImatrixType) {
    throw Error(ErrorCode::bad_file,
                fmt::format("{}: expected an importance matrix (general.type '{}'), got {}",
                            file.path(), kImatrixType, type ? quoted(*type) : "a file without one"),
                "make one: nibble imatrix -m MODEL -f TEXT -o FILE");
  }
  Imatrix out;
  if (const StringArray* names = file.meta().get_strings(kDatasetsKey)) {
    for (size_t i = 0; i < names->size(); ++i) out.datasets.emplace_back((*names)[i]);
  }
  out.chunk_count = read_count(file, kChunkCountKey);
  out.chunk_size = read_count(file, kChunkSizeKey);
  out.text_hash = std::string(file.meta().get_string(kTextHashKey).value_or(""));
  std::map<std::string, Pair> pairs;
  for (const TensorInfo& info : file.tensors()) {
    const std::string_view name = info.name;
    if (name.ends_with(kSums)) {
      pairs[std::string(name.substr(0, name.size() - kSums.size()))].sums = &info;
    } else if (name.ends_with(kCounts)) {
      pairs[std::string(name.substr(0, name.size() - kCounts.size()))].counts = &info;
    }
  }
  if (pairs.empty()) {
    fail(ErrorCode::bad_file, "{}: expected sums of a matrix, got none", file.path());
  }
  for (const auto& [name, pair] : pairs) out.entries.push_back(read_entry(file, name, pair));
  return out;
}

void write_imatrix(const Imatrix& imatrix, const std::string& path,
                   const std::vector<std::string>& inputs) {
  GgufHeader header;
  header.set_string("general.type", kImatrixType);
  const std::vector<std::string_view> datasets(imatrix.datasets.begin(), imatrix.datasets.end());
  header.set_strings(kDatasetsKey, datasets);
  header.set(kChunkCountKey, static_cast<uint32_t>(imatrix.chunk_count));
  header.set(kChunkSizeKey, static_cast<uint32_t>(imatrix.chunk_size));
  if (!imatrix.text_hash.empty()) header.set_string(kTextHashKey, imatrix.text_hash);
  for (const ImatrixEntry& entry : imatrix.entries) {
    header.add_tensor(
        float_tensor(entry.name + std::string(kSums), entry.n_matrices(), entry.cols));
    header.add_tensor(float_tensor(entry.name + std::string(kCounts), entry.n_matrices(), 1));
  }
  AtomicFileOptions options;
  options.inputs = inputs;
  GgufWriter writer(path, header, options);
  for (const ImatrixEntry& entry : imatrix.entries) {
    writer.write(std::as_bytes(std::span(entry.sums)));
    writer.write(std::as_bytes(std::span(entry.counts)));
  }
  writer.finish();
}

void column_importance(const ImatrixEntry& entry, int64_t i, float* out) noexcept {
  const float count = entry.counts[static_cast<size_t>(i)];
  const float* sums = entry.sums.data() + i * entry.cols;
  double total = 0;
  for (int64_t c = 0; c < entry.cols; ++c) total += static_cast<double>(sums[c]);
  if (count <= 0 || total <= 0) return std::fill(out, out + entry.cols, 1.0f);
  // Relative to the mean of all columns: what the sizes themselves are does not matter.
  const double mean = total / static_cast<double>(entry.cols);
  for (int64_t c = 0; c < entry.cols; ++c) {
    out[c] = static_cast<float>(std::max(static_cast<double>(sums[c]) / mean, 1e-6));
  }
}

}  // namespace nibble
