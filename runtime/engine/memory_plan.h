#pragma once
// Memory is planned before it is taken: what a model and a context will need, against what the
// machine has left.
#include <cstdint>
#include <string>

namespace nibble {

struct MemoryPlan {
  int64_t weights = 0;       // bytes of the file, mapped or packed
  int64_t held = 0;          // of these, what is packed: no longer part of `available`
  int64_t kv_per_token = 0;  // bytes of keys and values of one position, all layers
  int64_t kv = 0;            // for n_ctx positions; taken page by page as they fill
  int64_t scratch = 0;       // activations and logits
  int64_t n_ctx = 0;
  int64_t available = -1;  // what the machine and its control groups have left; -1 unknown
  int64_t total() const noexcept { return weights + kv + scratch; }
  bool fits() const noexcept { return available < 0 || total() - held <= available; }
};

/// Rows of logits that a session keeps at most (Session::evaluate_all); what the plan counts.
inline constexpr int64_t kMostLogitsRows = 64;

/// Bytes that may still be used: the least of the system's available memory and what the process's
/// control group and its ancestors leave (v2, or v1 at its root). Cached file pages count as
/// available: they are given back on demand. -1 if nothing can be read.
int64_t available_memory() noexcept;
/// Can a file of so many bytes be read into memory? Errors: out_of_memory, with both numbers.
void require_memory_for(const std::string& file, uint64_t bytes);

/// Largest n_ctx, at most `wanted`, whose keys and values fit beside weights and scratch with a
/// tenth of the available memory left over; at least 512 (or `wanted` if smaller).
int64_t context_that_fits(const MemoryPlan& per_token, int64_t wanted) noexcept;

}  // namespace nibble
