#pragma once
// A host may round another way or flush small numbers to zero, on purpose or because one of its
// libraries was built with -ffast-math. Results must not depend on it, nor may the host find its
// settings changed: every entry that computes with floats holds one of these.
#include <cfenv>

namespace nibble {

/// The floating-point environment that programs start with, for a scope and one thread.
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() noexcept {
    std::fegetenv(&host_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnvironment() { std::fesetenv(&host_); }
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;

 private:
  std::fenv_t host_{};
};

}  // namespace nibble
