#pragma once
// Memory and time of one render. Everything a template makes lives in one arena that is freed as a
// whole: values are plain data without destructors, so neither deep nor cyclic values can hurt on
// the way out. Every allocation and every step is counted against a budget that grows with the
// conversation; a template that exceeds it gets an Error, never the host's memory.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace nibble::jinja {

inline constexpr int64_t kMaxSourceBytes = int64_t{1}
                                           << 20;  // of a template; real ones have thousands
inline constexpr int kMaxParseDepth = 100;  // nested brackets, operators and blocks of a template
inline constexpr int kMaxCallDepth = 100;   // macros that run at the same time
inline constexpr int kMaxNativeDepth = 20;  // filters that run filters (map, select)
inline constexpr int kMaxValueDepth = 100;  // lists in lists
inline constexpr int64_t kMaxTextBytes = int64_t{64} << 20;  // of a string and of the output
inline constexpr int64_t kMaxRange = 100'000;  // items of range(), as jinja2's sandbox
inline constexpr int64_t kWorkPerStep = 256;   // bytes copied or scanned for the price of a step

struct Budget {
  int64_t steps = 1'000'000;
  int64_t heap_bytes = int64_t{256} << 20;

  /// For a conversation of this size: 1,000 steps and 4 KiB a message, 64 passes over its text.
  static Budget for_conversation(int64_t messages, int64_t text_bytes) noexcept {
    Budget budget;
    budget.steps += messages * 1000 + text_bytes / kWorkPerStep * 64;
    budget.heap_bytes += messages * 4096 + text_bytes;
    return budget;
  }
};

class Heap {
 public:
  explicit Heap(const Budget& budget) : steps_left_(budget.steps), bytes_left_(budget.heap_bytes) {}
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  /// Uninitialised memory, aligned for any value; lives as long as the heap. Error: bad_file when
  /// the budget is spent.
  void* take(int64_t bytes);
  /// Counts memory that is held elsewhere.
  void spend(int64_t bytes) {
    check_room(bytes);
    bytes_left_ -= bytes;
  }
  /// What take(bytes) would refuse is refused now: for memory that is built elsewhere first.
  void check_room(int64_t bytes) const;
  /// One step, and the work of touching `bytes` bytes. Error: bad_file when the budget is spent.
  void step(int64_t bytes = 0) {
    steps_left_ -= 1 + bytes / kWorkPerStep;
    if (steps_left_ < 0) out_of_steps();
  }

  template <typename T, typename... Args>
  T* make(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>);
    return new (take(sizeof(T))) T{std::forward<Args>(args)...};
  }
  template <typename T>
  T* make_array(int64_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    check_count(count, sizeof(T));
    T* array = static_cast<T*>(take(count * static_cast<int64_t>(sizeof(T))));
    std::uninitialized_value_construct_n(array, count);
    return array;
  }
  template <typename T>
  T* copy(std::span<const T> items) {
    T* array = make_array<T>(static_cast<int64_t>(items.size()));
    std::uninitialized_copy(items.begin(), items.end(), array);
    return array;
  }
  std::string_view copy(std::string_view text);
  /// Error: bad_file if count items of this size cannot fit.
  void check_count(int64_t count, size_t item_bytes) const;

 private:
  [[noreturn]] static void out_of_steps();
  [[noreturn]] static void out_of_memory();

  int64_t steps_left_;
  int64_t bytes_left_;
  std::vector<std::unique_ptr<std::byte[]>> chunks_;
  std::byte* at_ = nullptr;
  int64_t left_ = 0;  // bytes behind at_
};

}  // namespace nibble::jinja
