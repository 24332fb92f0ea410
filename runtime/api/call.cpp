#include "runtime/api/call.h"

#include <cstdlib>
#include <new>
#include <system_error>

namespace nibble::api {
namespace {

nibble_status status_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::bad_argument:
      return NIBBLE_BAD_ARGUMENT;
    case ErrorCode::not_found:
      return NIBBLE_NOT_FOUND;
    case ErrorCode::io:
      return NIBBLE_IO;
    case ErrorCode::bad_file:
      return NIBBLE_BAD_FILE;
    case ErrorCode::unsupported:
      return NIBBLE_UNSUPPORTED;
    case ErrorCode::out_of_memory:
      return NIBBLE_OUT_OF_MEMORY;
    case ErrorCode::context_full:
      return NIBBLE_CONTEXT_FULL;
    case ErrorCode::cancelled:
      return NIBBLE_CANCELLED;
    case ErrorCode::internal:
      break;
  }
  return NIBBLE_INTERNAL;
}

nibble_status tell(nibble_error* error, nibble_status status, std::string_view message,
                   std::string_view hint = {}) noexcept {
  if (error == nullptr || error->size < sizeof(nibble_error)) return status;
  error->status = status;
  copy_text(message, error->message, sizeof(error->message));
  copy_text(hint, error->hint, sizeof(error->hint));
  return status;
}

}  // namespace

void clear_error(nibble_error* error) noexcept {
  tell(error, NIBBLE_OK, "");
}

nibble_status caught(nibble_error* error) noexcept {
  try {
    throw;
  } catch (const Error& e) {
    return tell(error, status_of(e.code()), e.message(), e.hint());
  } catch (const Refusal& e) {
    return tell(error, e.status, e.message);
  } catch (const std::bad_alloc&) {
    return tell(error, NIBBLE_OUT_OF_MEMORY, "memory: the system has none left");
  } catch (const std::system_error& e) {
    return tell(error, NIBBLE_IO, e.what());
  } catch (const std::exception& e) {
    return tell(error, NIBBLE_INTERNAL, e.what());
  } catch (...) {
    return tell(error, NIBBLE_INTERNAL, "an exception of an unknown type");
  }
}

nibble_status free_object(const void* handle, ObjectKind kind) noexcept {
  if (handle == nullptr) return NIBBLE_OK;
  switch (free_handle(handle, kind)) {
    case Lookup::found:
      return NIBBLE_OK;
    case Lookup::forked:
      return NIBBLE_FORKED;
    case Lookup::no_handle:
      break;
  }
  return NIBBLE_BAD_HANDLE;
}

void expect_given(const void* pointer, const char* name) {
  if (pointer == nullptr) fail(ErrorCode::bad_argument, "{}: expected an address, got NULL", name);
}

std::string_view text_of(const char* text, const char* name) {
  expect_given(text, name);
  return text;
}

void copy_text(std::string_view text, char* to, size_t n) noexcept {
  size_t fits = std::min(text.size(), n - 1);
  if (fits < text.size()) {
    while (fits > 0 && (static_cast<unsigned char>(text[fits]) & 0xC0) == 0x80) --fits;
  }
  std::memcpy(to, text.data(), fits);
  to[fits] = 0;
}

void give_buffer(std::string_view bytes, nibble_buffer* to) {
  expect_given(to, "buffer");
  auto* data = static_cast<char*>(std::malloc(bytes.size() + 1));
  if (data == nullptr) throw std::bad_alloc();
  std::memcpy(data, bytes.data(), bytes.size());
  data[bytes.size()] = 0;
  *to = {data, bytes.size()};
}

}  // namespace nibble::api
