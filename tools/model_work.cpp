// See model_work.h.
#include "tools/model_work.h"

#include <algorithm>
#include <chrono>

namespace nibble {

double bytes_per_token(const TensorFile& file) {
  double bytes = 0;
  const bool tied = file.find("output.weight") == nullptr;
  for (const TensorInfo& t : file.tensors()) {
    if (t.name == "token_embd.weight" && !tied) continue;
    bytes += static_cast<double>(t.bytes);
  }
  return bytes;
}

double macs_per_token(const TensorFile& file) {
  double macs = 0;
  for (const TensorInfo& t : file.tensors()) {
    if (t.n_dims < 2 || t.name.compare(0, 4, "blk.") != 0) continue;
    macs += static_cast<double>(t.rows()) * static_cast<double>(t.cols());
  }
  return macs;
}

std::vector<int32_t> filler(int64_t count, int64_t n_vocab) {
  std::vector<int32_t> ids;
  uint32_t state = 1;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    ids.push_back(static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(n_vocab)));
  }
  return ids;
}

double time_tokens(Session& session, const TokenRun& run, const CancelToken* cancel) {
  const int64_t n_vocab = session.engine().n_vocab();
  const std::vector<int32_t> prompt = filler(run.n_depth + run.n_prompt, n_vocab);
  const std::vector<int32_t> given = filler(run.n_gen, n_vocab);
  session.rewind(run.n_depth);
  session.want_top(run.greedy ? 1 : 0);
  const auto start = std::chrono::steady_clock::now();
  if (run.n_prompt > 0) session.sync(prompt, cancel);
  for (size_t i = 0; i < given.size(); ++i) {
    int32_t id = given[i];
    if (run.greedy && i > 0) {
      const std::span<const float> logits = session.logits();
      id = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    }
    session.append(id, cancel);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace nibble
