#pragma once
// One mutable timeline over an Engine: the tokens so far, their keys and values, the logits after
// the last one. Used by one thread at a time.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/model/matmul_observer.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/thread_source.h"

namespace nibble {

class SequenceState;

struct SessionOptions {
  int64_t n_ctx = 0;                   // positions; 0: the model's own, limited by the memory plan
  int64_t n_batch = 512;               // rows of one forward pass at most
  int n_threads = 0;                   // 0: what suits the machine
  ThreadSource thread_source;          // where they come from
  std::optional<KvType> kv_type;       // of keys and values; none: the kernel table's default
  MatmulObserver* observer = nullptr;  // sees the inputs of all products; not owned
};

struct SyncResult {
  int64_t n_reused = 0;     // tokens whose state was already there
  int64_t n_evaluated = 0;  // tokens run through the model
};

class Session {
 public:
  /// Errors: bad_argument, out_of_memory (the plan does not fit: names the parts).
  Session(std::shared_ptr<const Engine>, const SessionOptions& = {});
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Makes the timeline equal to `tokens`: keeps the common prefix, rewinds, evaluates the rest and
  /// leaves the logits after the last token. Tokens must not be empty.
  /// Errors: context_full (both numbers), bad_argument (token out of range), out_of_memory, io (the
  /// model's file was written to or truncated; a file that was deleted or replaced is no error),
  /// cancelled (the timeline then holds the tokens of the chunks that were finished).
  /// on_progress(done, total) is called after every chunk with tokens evaluated.
  SyncResult sync(std::span<const int32_t> tokens, const CancelToken* cancel = nullptr,
                  const std::function<void(int64_t, int64_t)>& on_progress = {});
  /// Would sync() take the tokens? Errors: context_full, bad_argument.
  void check(std::span<const int32_t> tokens) const;
  /// Evaluates one more token. Errors as sync.
  void append(int32_t token, const CancelToken* cancel = nullptr);
  /// sync() that also keeps the logits of every evaluated row from position first_row on:
  /// on_rows(first_position, n_rows, logits [n_rows, n_vocab]) per chunk. Starts from an empty
  /// timeline, so that every token's row is seen. Rows before first_row cost no logits.
  void evaluate_all(std::span<const int32_t> tokens,
                    const std::function<void(int64_t, int64_t, const float*)>& on_rows,
                    const CancelToken* cancel = nullptr, int64_t first_row = 0);

  /// From now on logits() need only have the k largest right; any other may be -infinity. Reading
  /// an output head in part makes decoding faster, and the k largest are what they always are. 0,
  /// the default: all of them; generate() sets it and leaves 0. Logits at hand that are too few for
  /// the new k are gone.
  void want_top(int64_t k) noexcept;

  /// After the last token; empty before the first. Valid until the next call that evaluates.
  std::span<const float> logits() const noexcept;  // [n_vocab]
  std::span<const int32_t> tokens() const noexcept;
  int64_t n_ctx() const noexcept;
  int64_t n_batch() const noexcept;  // rows of one forward pass at most
  int64_t n_used() const noexcept { return static_cast<int64_t>(tokens().size()); }
  int n_threads() const noexcept;
  /// Of keys and values, what forks share included.
  int64_t kv_bytes() const noexcept;
  /// Keeps the first n tokens. The logits are gone until the next sync or append.
  void rewind(int64_t n);
  /// A second timeline that shares all pages so far (copied when either writes to one).
  Session fork() const;
  /// Keys and values of the tokens so far; one without any, of the same layout.
  const SequenceState& state() const noexcept;
  SequenceState empty_state() const;
  /// The timeline becomes these tokens with their keys and values, which must be as many and of
  /// this session's layout. The logits are gone until the next sync or append.
  void restore(SequenceState state, std::vector<int32_t> tokens) noexcept;
  const Engine& engine() const noexcept;
  std::shared_ptr<const Engine> engine_ptr() const noexcept;
  const MemoryPlan& plan() const noexcept;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl>);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nibble
