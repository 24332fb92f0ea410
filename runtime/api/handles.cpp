#include "runtime/api/handles.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <new>
#include <thread>

namespace nibble::api {
namespace {

// A handle: the place's use count, then the place's number.
constexpr int kPlaceBits = 20;
constexpr uintptr_t kPlaceMask = (uintptr_t{1} << kPlaceBits) - 1;
constexpr uint32_t kNoPlace = ~uint32_t{0};

// A place's state: the use count in the upper half, whether it is closed, and how many calls hold
// it.
constexpr uint64_t kClosed = uint64_t{1} << 31;
constexpr uint64_t kHolders = kClosed - 1;

// Whose the table is, when it is no process's.
constexpr pid_t kNobody = 0;
constexpr pid_t kBeingAdopted = -1;

struct Place {
  std::atomic<uint64_t> state{kClosed | uint64_t{1} << 32};
  ObjectKind kind = ObjectKind::env;
  Object* object = nullptr;
  uint32_t next_free = kNoPlace;
};

// Chunk i holds 64 << i places and stays where it is.
constexpr uint32_t kFirstChunk = 64;
constexpr int kChunks = kPlaceBits - 6;

class Table {
 public:
  constexpr Table() = default;
  // A host may still call from what ends after it: then the table is empty, not gone.
  ~Table() {
    if (n_used_ != 0) return;  // somebody may still hold them
    n_places_ = 0;
    free_ = kNoPlace;
    for (std::atomic<Place*>& chunk : chunks_) delete[] chunk.exchange(nullptr);
  }

  Lookup owner() const noexcept {
    const pid_t process = process_.load(std::memory_order_acquire);
    if (process == getpid()) return Lookup::found;
    return process == kNobody ? Lookup::no_handle : Lookup::forked;
  }

  /// Makes the table this process's. Of several threads one does; the others wait for it.
  void adopt() noexcept {
    const pid_t self = getpid();
    pid_t process = process_.load(std::memory_order_acquire);
    for (;;) {
      if (process == self) return;
      if (process != kBeingAdopted &&
          process_.compare_exchange_weak(process, kBeingAdopted, std::memory_order_acq_rel)) {
        break;
      }
      std::this_thread::yield();
      process = process_.load(std::memory_order_acquire);
    }
    lock_.clear();
    free_ = kNoPlace;
    n_used_ = 0;
    for (uint32_t i = 0; i < n_places_; ++i) {
      Place& place = at(i);
      place.object = nullptr;
      place.state = next_use(place.state.load());
      give_back(i);
    }
    process_.store(self, std::memory_order_release);
  }

  void* insert(ObjectKind kind, Object* object) {
    lock();
    if (free_ == kNoPlace && !grow()) {
      unlock();
      throw std::bad_alloc();
    }
    const uint32_t number = free_;
    Place& place = at(number);
    free_ = place.next_free;
    ++n_used_;
    unlock();
    place.kind = kind;
    place.object = object;
    const uint64_t state = place.state.load(std::memory_order_relaxed) & ~kClosed;
    place.state.store(state, std::memory_order_release);
    return reinterpret_cast<void*>(static_cast<uintptr_t>(state >> 32) << kPlaceBits | number);
  }

  Place* acquire(const void* handle, ObjectKind kind) noexcept {
    Place* place = find(handle);
    if (place == nullptr) return nullptr;
    uint64_t state = place->state.load(std::memory_order_acquire);
    do {
      if (!is_of(state, handle) || (state & kClosed) != 0) return nullptr;
    } while (!place->state.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel));
    if (place->kind == kind) return place;
    release(handle);
    return nullptr;
  }

  /// Nothing happens to a handle of before an adoption: a callback may fork, and its child start
  /// anew before the call that it came from ends.
  void release(const void* handle) noexcept {
    Place* place = find(handle);
    if (place == nullptr) return;
    uint64_t state = place->state.load(std::memory_order_acquire);
    do {
      if (!is_of(state, handle)) return;
    } while (!place->state.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel));
    if ((state & kClosed) != 0 && (state & kHolders) == 1) destroy(*place, handle);
  }

  /// The caller holds it. False: somebody else was first.
  bool close(Place& place) noexcept {
    return (place.state.fetch_or(kClosed, std::memory_order_acq_rel) & kClosed) == 0;
  }

 private:
  static uint64_t next_use(uint64_t state) noexcept {
    uint64_t use = (state >> 32) + 1;
    if (use << kPlaceBits >> kPlaceBits != use || use >> 32 != 0) use = 1;
    return use << 32 | kClosed;
  }
  static bool is_of(uint64_t state, const void* handle) noexcept {
    return state >> 32 == reinterpret_cast<uintptr_t>(handle) >> kPlaceBits;
  }

  Place& at(uint32_t number) noexcept {
    uint32_t chunk = 0, begin = 0;
    while (number >= begin + (kFirstChunk << chunk)) begin += kFirstChunk << chunk++;
    return chunks_[chunk].load(std::memory_order_acquire)[number - begin];
  }
  Place* find(const void* handle) noexcept {
    const uintptr_t number = reinterpret_cast<uintptr_t>(handle) & kPlaceMask;
    if (number >= n_places_.load(std::memory_order_acquire)) return nullptr;
    return &at(static_cast<uint32_t>(number));
  }

  void destroy(Place& place, const void* handle) noexcept {
    Object* object = place.object;
    place.object = nullptr;
    place.state.store(next_use(place.state.load(std::memory_order_relaxed)),
                      std::memory_order_release);
    delete object;
    lock();
    --n_used_;
    give_back(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(handle) & kPlaceMask));
    unlock();
  }
  void give_back(uint32_t number) noexcept {
    at(number).next_free = free_;
    free_ = number;
  }
  bool grow() noexcept {
    const uint32_t begin = n_places_.load(std::memory_order_relaxed);
    size_t chunk = 0;
    while (begin >= (kFirstChunk << (chunk + 1)) - kFirstChunk) ++chunk;
    if (chunk == kChunks) return false;
    const uint32_t n = kFirstChunk << chunk;
    // It may be there: a process that was forked between these two stores.
    if (chunks_[chunk].load() == nullptr) {
      auto* places = new (std::nothrow) Place[n];
      if (places == nullptr) return false;
      chunks_[chunk].store(places, std::memory_order_release);
    }
    n_places_.store(begin + n, std::memory_order_release);
    for (uint32_t i = n; i > 0; --i) give_back(begin + i - 1);
    return true;
  }

  void lock() noexcept {
    while (lock_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
  }
  void unlock() noexcept { lock_.clear(std::memory_order_release); }

  std::array<std::atomic<Place*>, kChunks> chunks_{};
  std::atomic<uint32_t> n_places_{0};
  std::atomic<pid_t> process_{kNobody};
  std::atomic_flag lock_;
  uint32_t free_ = kNoPlace;
  int64_t n_used_ = 0;
};

constinit Table table;

}  // namespace

void* insert(ObjectKind kind, std::unique_ptr<Object> object) {
  void* handle = table.insert(kind, object.get());
  object.release();
  return handle;
}

Lookup acquire(const void* handle, ObjectKind kind, Object** object) noexcept {
  if (const Lookup owner = table.owner(); owner != Lookup::found) return owner;
  const Place* place = table.acquire(handle, kind);
  if (place == nullptr) return Lookup::no_handle;
  *object = place->object;
  return Lookup::found;
}

void release(const void* handle) noexcept {
  if (table.owner() == Lookup::found) table.release(handle);
}

Lookup free_handle(const void* handle, ObjectKind kind) noexcept {
  if (const Lookup owner = table.owner(); owner != Lookup::found) return owner;
  Place* place = table.acquire(handle, kind);
  if (place == nullptr) return Lookup::no_handle;
  const bool first = table.close(*place);
  if (first) place->object->on_free();
  table.release(handle);
  return first ? Lookup::found : Lookup::no_handle;
}

void adopt_table() noexcept {
  table.adopt();
}

}  // namespace nibble::api
