// Where Buffer's memory comes from. The system hands out fresh memory page by page, on first touch,
// and a page of 4 KiB costs 1 to 3 us, more than copying weights into it does; a page of 2 MiB
// costs a quarter of that for the same bytes, and later fewer misses of the address cache.
#include "runtime/model/buffer.h"

#include <sys/mman.h>

#include <new>

namespace nibble {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// From two huge pages on: less would mostly be the ends that no huge page covers.
std::align_val_t alignment_of(size_t bytes) noexcept {
  return std::align_val_t{bytes < 2 * kHugePage ? 64 : kHugePage};
}

}  // namespace

void* allocate_numbers(size_t bytes) noexcept {
  void* memory = ::operator new(bytes, alignment_of(bytes), std::nothrow);
  if (memory != nullptr && bytes >= 2 * kHugePage) {
    (void)::madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // advice: may fail
  }
  return memory;
}

void free_numbers(void* memory, size_t bytes) noexcept {
  ::operator delete(memory, alignment_of(bytes));
}

}  // namespace nibble
