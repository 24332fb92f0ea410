#pragma once
// A generation one step at a time: a part of the prompt, or a token. generate() runs one to its
// end; a host with a loop of its own calls step().
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "runtime/engine/generate.h"

namespace nibble {

class Generation {
 public:
  enum class Step {
    prompt,  // a part of the prompt was evaluated
    token,   // a token was sampled
    done,    // the end; text() may have what was held back
  };

  /// The session and the sampler must outlive it; nobody else may use them before step() is done or
  /// it is destroyed. Errors: bad_argument (a stop string is empty or not UTF-8).
  Generation(Session& session, Sampler& sampler, std::span<const int32_t> prompt,
             const GenerateOptions& options);
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  /// After done, done again. Errors: as Session::sync, except cancelled.
  Step step(const CancelToken* cancel);
  /// Whole code points that the last step gave; often "".
  const std::string& text() const noexcept;
  /// The receiver of the text wants no more: what the last step gave does not count.
  void refuse() noexcept;
  /// Of the prompt, without what was reused.
  int64_t prompt_done() const noexcept;
  int64_t prompt_total() const noexcept;
  /// Complete when step() said done.
  GenerateResult& result() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nibble
