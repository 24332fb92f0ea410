#pragma once
// Runs a piece of a test on a thread with a stack of 128 KiB, so that recursion on input shows.
// AddressSanitizer's frames are several times as large, and so is the stack there.
#include <pthread.h>

#include <functional>

#include "tests/support/catch.h"

namespace nibble::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr size_t kSmallStack = size_t{1} << 20;
#else
inline constexpr size_t kSmallStack = size_t{128} << 10;
#endif

/// body must not throw and must not use Catch's macros (they are not for other threads).
inline void on_small_stack(const std::function<void()>& body) {
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, kSmallStack) == 0);
  pthread_t thread{};
  const auto run = [](void* f) -> void* {
    (*static_cast<const std::function<void()>*>(f))();
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&body)) ==
          0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
  pthread_attr_destroy(&attributes);
}

}  // namespace nibble::test
