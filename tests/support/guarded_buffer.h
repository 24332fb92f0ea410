#pragma once
// Memory between two pages that must not be touched: a read or write one byte beyond it ends the
// test program. A buffer lies flush with one of the two pages; a test that cares runs both ways.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <new>

namespace nibble::test {

enum class Flush { begin, end };

class GuardedBuffer {
 public:
  GuardedBuffer(int64_t bytes, Flush flush) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const auto inner = (static_cast<size_t>(bytes) + page - 1) / page * page;
    size_ = inner + 2 * page;
    base_ = ::mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base_ == MAP_FAILED) throw std::bad_alloc();
    auto* first = static_cast<uint8_t*>(base_) + page;
    if (inner != 0 && ::mprotect(first, inner, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    data_ = flush == Flush::begin ? first : first + inner - static_cast<size_t>(bytes);
  }
  ~GuardedBuffer() { ::munmap(base_, size_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  uint8_t* data() const { return data_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  void* base_;
  size_t size_;
  uint8_t* data_;
};

}  // namespace nibble::test
