#pragma once
// A session in a file: its tokens with the keys and values that the model remembers of them, so
// that another run goes on where this one ended without evaluating anything twice.
// docs/format.md specifies the file.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/engine/sampler.h"
#include "runtime/engine/session.h"

namespace nibble {

/// An answer of the model's and the tokens it was sampled as (Conversation).
struct SessionAnswer {
  std::string text;
  std::vector<int32_t> tokens;
};

/// What the file holds, as views into its bytes.
struct SessionFile {
  uint64_t model = 0;    // model_identity()
  uint32_t kv_type = 0;  // KvType
  uint64_t page_bytes = 0;
  RandomState random;
  std::vector<int32_t> tokens;
  std::vector<SessionAnswer> answers;
  std::span<const std::byte> pages;  // [pages of the tokens, page_bytes]
};

/// Of a file's bytes; name is used in messages. Errors: bad_file (no such file, cut short, damaged,
/// of another version).
SessionFile read_session_file(std::span<const std::byte> bytes, std::string_view name);

/// Tells model files apart: by their metadata, by names, types and shapes of their tensors and by
/// 64 bytes in the middle of each.
uint64_t model_identity(const TensorFile& file);

/// What else belongs to a session.
struct SessionExtras {
  RandomState random;
  std::vector<SessionAnswer> answers;
};

/// Writes the file, which appears whole or not at all. Errors: io, not_found, bad_argument (the
/// path is the model's), cancelled.
void save_session(const Session& session, const SessionExtras& extras, const std::string& path,
                  const CancelToken* cancel = nullptr);

/// Replaces the session's timeline by the file's. After an error it is what it was.
/// Errors: not_found, io, bad_file, bad_argument (another model, another type of keys and values),
/// context_full (both numbers), out_of_memory, cancelled.
SessionExtras load_session(Session& session, const std::string& path,
                           const CancelToken* cancel = nullptr);

}  // namespace nibble
