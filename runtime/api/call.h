#pragma once
// How a function of the C API runs: nothing is thrown through it, and what went wrong becomes a
// status and a nibble_error.
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "formats/io/error.h"
#include "runtime/api/handles.h"
#include "runtime/api/nibble.h"
#include "runtime/threads/fault_signal.h"

namespace nibble::api {

/// What ErrorCode has no word for.
struct Refusal {
  nibble_status status;
  const char* message;
};

void clear_error(nibble_error* error) noexcept;
/// Inside a catch block: its exception as a status, and into error.
nibble_status caught(nibble_error* error) noexcept;

template <class F>
nibble_status call(nibble_error* error, F&& f) noexcept {
  clear_error(error);
  const FaultSignalOpen guarded;  // the call may read a mapped file
  try {
    f();
    return NIBBLE_OK;
  } catch (...) {
    return caught(error);
  }
}

/// Holds what a handle stands for while a call uses it. Errors: Refusal.
template <class T>
class Held {
 public:
  explicit Held(const void* handle) : handle_(handle) {
    Object* object = nullptr;
    switch (acquire(handle, T::kKind, &object)) {
      case Lookup::found:
        break;
      case Lookup::forked:
        throw Refusal{NIBBLE_FORKED, "handle: it is the parent process's"};
      case Lookup::no_handle:
        throw Refusal{NIBBLE_BAD_HANDLE, T::kNotThis};
    }
    object_ = static_cast<T*>(object);
  }
  ~Held() { release(handle_); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }

 private:
  const void* handle_;
  T* object_ = nullptr;
};

/// nibble_*_free: NULL is left alone.
nibble_status free_object(const void* handle, ObjectKind kind) noexcept;

/// Errors: bad_argument (a NULL where something must be).
void expect_given(const void* pointer, const char* name);
std::string_view text_of(const char* text, const char* name);

/// A struct that begins with its size. Errors: bad_argument (NULL, no size).
template <class T>
void expect_struct(const T* given, const char* name) {
  expect_given(given, name);
  if (given->size < sizeof(uint32_t)) {
    fail(ErrorCode::bad_argument, "{}: size: expected that of the struct, got {}", name,
         given->size);
  }
}

/// What the caller knows of a struct that is passed in, over the defaults of *to.
template <class T>
void take_struct(const T* given, T* to, const char* name) {
  expect_struct(given, name);
  std::memcpy(to, given, std::min<size_t>(given->size, sizeof(T)));
}

/// As much of the struct as the caller knows. Errors: as expect_struct.
template <class T>
void give_struct(T value, T* to, const char* name) {
  expect_struct(to, name);
  const uint32_t size = to->size;
  value.size = size;
  std::memcpy(to, &value, std::min<size_t>(size, sizeof(T)));
}

/// As much as fits into the n bytes with a zero behind it, never half a code point.
void copy_text(std::string_view text, char* to, size_t n) noexcept;
/// Errors: std::bad_alloc.
void give_buffer(std::string_view bytes, nibble_buffer* to);

}  // namespace nibble::api
