#pragma once
// The merge loop of byte-pair encoding: always the pair of lowest rank, among equals the leftmost,
// until no pair is left. Two queues give the same order:
//   HeapQueue    binary heap, best while it fits the caches
//   BucketQueue  one list of positions a rank: long texts have few ranks and many positions, and
//                positions are appended nearly sorted, so the cost stays close to linear
// Symbols stand at the byte where they start, in a doubly linked list over one flat array: 16 bytes
// per byte of text.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <queue>
#include <span>
#include <utility>
#include <vector>

namespace nibble {

struct MergeSymbol {
  int32_t prev;   // start of the symbol before, -1: none
  int32_t next;   // start of the symbol behind, size of the array: none
  int32_t id;     // what the rule calls this symbol
  int32_t merge;  // merge of this symbol with the next one, -1: none
};

/// Pairs (rank, position); pop() gives the lowest.
class HeapQueue {
 public:
  void push(int32_t rank, int32_t at) {
    keys_.push_back(static_cast<uint64_t>(static_cast<uint32_t>(rank)) << 32 |
                    static_cast<uint32_t>(at));
    std::push_heap(keys_.begin(), keys_.end(), std::greater<>());
  }
  bool pop(int32_t& rank, int32_t& at) {
    if (keys_.empty()) return false;
    std::pop_heap(keys_.begin(), keys_.end(), std::greater<>());
    rank = static_cast<int32_t>(keys_.back() >> 32);
    at = static_cast<int32_t>(keys_.back() & 0xFFFFFFFFu);
    keys_.pop_back();
    return true;
  }

 private:
  std::vector<uint64_t> keys_;
};

/// The same for many pairs. Positions pushed before a bucket is first popped are sorted once; the
/// few that come later go to a small heap of that bucket.
class BucketQueue {
 public:
  explicit BucketQueue(int32_t n_ranks) : bucket_of_(static_cast<size_t>(n_ranks), -1) {}

  void push(int32_t rank, int32_t at) {
    int32_t& index = bucket_of_[static_cast<size_t>(rank)];
    if (index < 0) {
      index = take_bucket();
      ranks_.push(rank);
    }
    Bucket& bucket = buckets_[static_cast<size_t>(index)];
    if (!bucket.sorted) {
      bucket.items.push_back(at);
      return;
    }
    bucket.late.push_back(at);
    std::push_heap(bucket.late.begin(), bucket.late.end(), std::greater<>());
  }

  bool pop(int32_t& rank, int32_t& at) {
    if (ranks_.empty()) return false;
    rank = ranks_.top();
    const int32_t index = bucket_of_[static_cast<size_t>(rank)];
    Bucket& bucket = buckets_[static_cast<size_t>(index)];
    if (!bucket.sorted) {
      if (!std::is_sorted(bucket.items.begin(), bucket.items.end())) {
        std::sort(bucket.items.begin(), bucket.items.end());
      }
      bucket.sorted = true;
    }
    const bool has_item = bucket.head < bucket.items.size();
    if (has_item && (bucket.late.empty() || bucket.items[bucket.head] <= bucket.late.front())) {
      at = bucket.items[bucket.head++];
    } else {
      std::pop_heap(bucket.late.begin(), bucket.late.end(), std::greater<>());
      at = bucket.late.back();
      bucket.late.pop_back();
    }
    if (bucket.head == bucket.items.size() && bucket.late.empty()) {
      ranks_.pop();
      bucket_of_[static_cast<size_t>(rank)] = -1;
      give_bucket(index);
    }
    return true;
  }

 private:
  struct Bucket {
    std::vector<int32_t> items;  // from head on
    std::vector<int32_t> late;   // min-heap
    size_t head = 0;
    bool sorted = false;
  };

  int32_t take_bucket() {
    if (free_.empty()) {
      buckets_.emplace_back();
      return static_cast<int32_t>(buckets_.size() - 1);
    }
    const int32_t index = free_.back();
    free_.pop_back();
    return index;
  }

  void give_bucket(int32_t index) {
    constexpr size_t kKeep = 4096;  // items; larger buffers go back to the system
    Bucket& bucket = buckets_[static_cast<size_t>(index)];
    if (bucket.items.capacity() > kKeep) std::vector<int32_t>().swap(bucket.items);
    bucket.items.clear();
    bucket.head = 0;
    bucket.sorted = false;
    free_.push_back(index);
  }

  std::vector<int32_t> bucket_of_;  // [n_ranks], -1: empty
  std::vector<Bucket> buckets_;
  std::vector<int32_t> free_;  // buckets without a rank
  std::priority_queue<int32_t, std::vector<int32_t>, std::greater<>> ranks_;  // of the buckets
};

/// Merges until nothing merges. symbols: linked from 0 on; slots that no link reaches are not read.
/// Rule: find(symbols, left, right) -> merge or -1; rank(merge); result(merge) -> id.
template <typename Rule, typename Queue>
void run_merges(std::span<MergeSymbol> symbols, const Rule& rule, Queue& queue) {
  const auto size = static_cast<int32_t>(symbols.size());
  const auto offer = [&](int32_t left) {
    MergeSymbol& symbol = symbols[static_cast<size_t>(left)];
    symbol.merge = symbol.next < size ? rule.find(symbols, left, symbol.next) : -1;
    if (symbol.merge >= 0) queue.push(rule.rank(symbol.merge), left);
  };
  for (int32_t at = 0; at < size; at = symbols[static_cast<size_t>(at)].next) offer(at);
  int32_t rank = 0, at = 0;
  while (queue.pop(rank, at)) {
    MergeSymbol& left = symbols[static_cast<size_t>(at)];
    // Entries of pairs that are gone: the symbol was merged away or has another partner now.
    if (left.merge < 0 || rule.rank(left.merge) != rank) continue;
    MergeSymbol& right = symbols[static_cast<size_t>(left.next)];
    right.merge = -1;
    left.id = rule.result(left.merge);
    left.next = right.next;
    if (left.next < size) symbols[static_cast<size_t>(left.next)].prev = at;
    offer(at);
    if (left.prev >= 0) offer(left.prev);
  }
}

/// The same with the queue that suits the length.
template <typename Rule>
void run_merges(std::span<MergeSymbol> symbols, const Rule& rule, int32_t n_ranks) {
  constexpr size_t kHeapSymbols = 16384;
  if (symbols.size() <= kHeapSymbols) {
    HeapQueue queue;
    run_merges(symbols, rule, queue);
  } else {
    BucketQueue queue(n_ranks);
    run_merges(symbols, rule, queue);
  }
}

}  // namespace nibble
