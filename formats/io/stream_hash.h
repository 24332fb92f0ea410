#pragma once
// XXH3 of bytes that come in pieces. Included by sources only: callers need not have xxhash.h.
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

namespace nibble {

struct StreamHash {
  /// Errors: std::bad_alloc.
  StreamHash() : state(XXH3_createState()) {
    if (state == nullptr) throw std::bad_alloc();
    reset();
  }
  ~StreamHash() { XXH3_freeState(state); }
  StreamHash(const StreamHash&) = delete;
  StreamHash& operator=(const StreamHash&) = delete;
  void reset() { XXH3_64bits_reset(state); }
  void add(std::span<const std::byte> bytes) {
    XXH3_64bits_update(state, bytes.data(), bytes.size());
  }
  /// Of all bytes so far.
  uint64_t value() const { return XXH3_64bits_digest(state); }

  XXH3_state_t* state;
};

}  // namespace nibble
