#pragma once
// What a caller of the C API holds is a number, not an address: the place of an object in a table
// and a count of how often that place was used. So a handle that was freed, or never was one, is
// found out without touching memory that is not ours. An object that is freed while a call uses it
// lives until that call returns.
//
// The table is the process's: C gives a library nothing else to keep it in. It takes a lock only to
// give out and take back places, never to look one up.
#include <cstdint>
#include <memory>

namespace nibble::api {

enum class ObjectKind : uint8_t { env, cancel, model, session };

class Object {
 public:
  virtual ~Object() = default;
  /// The handle was freed; calls that use the object may still run.
  virtual void on_free() noexcept {}
};

enum class Lookup {
  found,
  no_handle,
  forked,  // the table is a parent process's
};

/// The handle of a new object. Errors: std::bad_alloc.
void* insert(ObjectKind kind, std::unique_ptr<Object> object);
/// Takes hold of what the handle stands for; release() gives it back.
Lookup acquire(const void* handle, ObjectKind kind, Object** object) noexcept;
void release(const void* handle) noexcept;
/// The handle stands for nothing from now on.
Lookup free_handle(const void* handle, ObjectKind kind) noexcept;
/// Before the first insert() of a process. In a forked child: makes the table the child's, empty.
/// Objects of the parent are left as they are, since threads that their end would wait for are
/// gone.
void adopt_table() noexcept;

}  // namespace nibble::api
