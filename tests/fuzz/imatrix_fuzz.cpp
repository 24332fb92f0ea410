// Any bytes as an importance matrix: an Error, or sums and counts of one shape, finite and not
// negative, whose weights of columns are above zero.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "formats/imatrix.h"
#include "formats/io/error.h"

using namespace nibble;

namespace {

void promise(bool kept, const char* what) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

void check(const Imatrix& m) {
  promise(!m.entries.empty(), "a matrix has entries");
  promise(m.chunk_count >= 0 && m.chunk_size >= 0, "counts are not negative");
  for (const ImatrixEntry& entry : m.entries) {
    const auto n = entry.counts.size();
    promise(n > 0 && entry.cols > 0, "an entry has a shape");
    promise(entry.sums.size() == n * static_cast<size_t>(entry.cols), "sums have the shape");
    for (const float v : entry.sums) promise(std::isfinite(v) && v >= 0, "sums are finite");
    std::vector<float> weights(static_cast<size_t>(entry.cols));
    for (int64_t i = 0; i < entry.n_matrices(); ++i) {
      column_importance(entry, i, weights.data());
      for (const float w : weights) promise(std::isfinite(w) && w > 0, "weights are above zero");
    }
    promise(m.find(entry.name) == &entry, "an entry is found by its name");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint64_t> aligned(size / 8 + 1);
  if (size > 0) std::memcpy(aligned.data(), data, size);
  try {
    check(
        read_imatrix(open_tensor_memory(std::as_bytes(std::span(aligned)).first(size), "imatrix")));
  } catch (const Error&) {
  }
  return 0;
}
