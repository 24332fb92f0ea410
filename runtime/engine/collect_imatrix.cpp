#include "runtime/engine/collect_imatrix.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "formats/io/error.h"
#include "runtime/engine/session.h"
#include "runtime/model/model.h"

namespace nibble {
namespace {

/// Sums of squares, in the order of rows: no split among threads changes them.
class Collector : public MatmulObserver {
 public:
  Collector(const TensorFile& file, const Model& model, bool output_head) {
    std::map<const void*, const TensorInfo*> infos;
    for (const TensorInfo& info : file.tensors()) {
      if (info.bytes > 0) infos.emplace(file.data(info).data(), &info);
    }
    const auto add = [&](const Matrix& w) {
      if (w.data == nullptr) return;
      const auto info = infos.find(w.data);
      if (info == infos.end()) return;  // a vector: copied out of the file
      Sums sums;
      sums.name = info->second->name;
      sums.cols = w.cols;
      const int64_t parts = info->second->n_dims == 3 ? info->second->shape[0] : 1;
      sums.counts.resize(static_cast<size_t>(parts));
      sums.values.resize(static_cast<size_t>(parts * w.cols));
      sums_.emplace(&w, std::move(sums));
    };
    for (const LayerWeights& layer : model.weights.layers) {
      for (const Matrix& w : layer.matrix) add(w);
    }
    if (output_head) add(model.weights.model[Role::output]);
  }

  void input(const Matrix& w, const MatmulInput& in, int64_t begin, int64_t end) noexcept override {
    const auto at = sums_.find(&w);
    if (at == sums_.end()) return;
    Sums& sums = at->second;
    double* to = sums.values.data() + in.part * sums.cols;  // [cols]
    for (int64_t r = 0; r < in.rows; ++r) {
      const float* x = in.x + r * in.stride;
      for (int64_t c = begin; c < end; ++c) {
        to[c] += static_cast<double>(x[c]) * static_cast<double>(x[c]);
      }
    }
    if (begin == 0 && end > 0) sums.counts[static_cast<size_t>(in.part)] += in.rows;
  }

  std::vector<ImatrixEntry> entries(const std::string& file) const {
    std::vector<ImatrixEntry> out;
    for (const auto& [matrix, sums] : sums_) {
      if (std::all_of(sums.counts.begin(), sums.counts.end(), [](int64_t n) { return n == 0; })) {
        continue;
      }
      ImatrixEntry entry;
      entry.name = sums.name;
      entry.cols = sums.cols;
      for (const int64_t count : sums.counts) entry.counts.push_back(static_cast<float>(count));
      for (const double value : sums.values) {
        entry.sums.push_back(static_cast<float>(value));
        if (std::isfinite(entry.sums.back())) continue;
        fail(ErrorCode::bad_file, "{}: tensor {}: its inputs are not finite", file, sums.name);
      }
      out.push_back(std::move(entry));
    }
    std::sort(out.begin(), out.end(),
              [](const ImatrixEntry& a, const ImatrixEntry& b) { return a.name < b.name; });
    return out;
  }

 private:
  struct Sums {
    std::string name;
    int64_t cols = 0;
    std::vector<double> values;   // [parts, cols]
    std::vector<int64_t> counts;  // [parts]  rows
  };
  std::map<const Matrix*, Sums> sums_;
};

}  // namespace

Imatrix collect_imatrix(std::shared_ptr<const Engine> engine, std::string_view text,
                        const CollectOptions& options) {
  const Tokenizer& tokenizer = engine->tokenizer();
  const std::vector<int32_t> ids = tokenizer.encode(text, true, false);
  const int64_t n_ids = static_cast<int64_t>(ids.size());
  int64_t n_chunks = n_ids / options.chunk_size;
  if (options.most_chunks > 0) n_chunks = std::min(n_chunks, options.most_chunks);
  if (n_chunks == 0) {
    throw Error(ErrorCode::bad_argument,
                fmt::format("text: expected at least {} tokens, one chunk, got {}",
                            options.chunk_size, n_ids),
                "give a longer text or smaller chunks");
  }
  Collector collector(engine->file(), engine->model(), options.output_head);
  SessionOptions how;
  how.n_ctx = options.chunk_size;
  how.n_threads = options.n_threads;
  how.observer = &collector;
  Session session(engine, how);
  for (int64_t i = 0; i < n_chunks; ++i) {
    const auto begin = ids.begin() + static_cast<ptrdiff_t>(i * options.chunk_size);
    std::vector<int32_t> chunk(begin, begin + static_cast<ptrdiff_t>(options.chunk_size));
    if (tokenizer.adds_bos()) chunk[0] = tokenizer.bos();
    session.rewind(0);
    if (options.output_head) {
      session.evaluate_all(
          chunk, [](int64_t, int64_t, const float*) {}, options.cancel);
    } else {
      session.sync(chunk, options.cancel);
    }
    if (options.on_progress) options.on_progress(i + 1, n_chunks);
  }
  Imatrix out;
  out.chunk_count = n_chunks;
  out.chunk_size = options.chunk_size;
  out.text_hash = hash_of_text(text);
  out.entries = collector.entries(engine->file().path());
  return out;
}

std::string hash_of_text(std::string_view text) {
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

}  // namespace nibble
