// The merge loop against the definition: look at all pairs, merge the lowest rank, the leftmost of
// equals, again. Both queues, rules with many equal ranks and ranks that fall after a merge.
#include "runtime/text/merge.h"

#include <map>
#include <random>

#include "tests/support/catch.h"

namespace nibble::test {
namespace {

// Ids merge by a random table; the result of a merge may rank above or below it.
struct TableRule {
  struct Entry {
    int32_t rank, result;
  };
  std::vector<Entry> entries;
  std::map<std::pair<int32_t, int32_t>, int32_t> table;

  int32_t pair(int32_t left, int32_t right) const {
    const auto found = table.find({left, right});
    return found == table.end() ? -1 : found->second;
  }
  int32_t find(std::span<const MergeSymbol> s, int32_t left, int32_t right) const {
    return pair(s[static_cast<size_t>(left)].id, s[static_cast<size_t>(right)].id);
  }
  int32_t rank(int32_t merge) const { return entries[static_cast<size_t>(merge)].rank; }
  int32_t result(int32_t merge) const { return entries[static_cast<size_t>(merge)].result; }
};

constexpr int32_t kRanks = 7;

TableRule random_rule(std::mt19937_64& random) {
  TableRule rule;
  const int32_t ids = 3 + static_cast<int32_t>(random() % 10);
  for (int i = 0; i < 30; ++i) {
    const auto left = static_cast<int32_t>(random() % static_cast<uint64_t>(ids));
    const auto right = static_cast<int32_t>(random() % static_cast<uint64_t>(ids));
    const auto result = static_cast<int32_t>(random() % static_cast<uint64_t>(ids));
    if (rule.table.emplace(std::pair{left, right}, static_cast<int32_t>(rule.entries.size()))
            .second) {
      rule.entries.push_back({static_cast<int32_t>(random() % kRanks), result});
    }
  }
  return rule;
}

std::vector<int32_t> by_definition(const TableRule& rule, std::vector<int32_t> ids) {
  for (;;) {
    size_t best = ids.size();
    int32_t best_rank = kRanks;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const int32_t merge = rule.pair(ids[i], ids[i + 1]);
      if (merge >= 0 && rule.rank(merge) < best_rank) {
        best = i;
        best_rank = rule.rank(merge);
      }
    }
    if (best == ids.size()) return ids;
    ids[best] = rule.result(rule.pair(ids[best], ids[best + 1]));
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

template <typename Queue>
std::vector<int32_t> by_queue(const TableRule& rule, const std::vector<int32_t>& ids, Queue queue) {
  std::vector<MergeSymbol> symbols;
  for (const int32_t id : ids) {
    const auto at = static_cast<int32_t>(symbols.size());
    symbols.push_back({at - 1, at + 1, id, -1});
  }
  run_merges(std::span<MergeSymbol>(symbols), rule, queue);
  std::vector<int32_t> out;
  for (size_t at = 0; at < symbols.size(); at = static_cast<size_t>(symbols[at].next)) {
    out.push_back(symbols[at].id);
  }
  return out;
}

}  // namespace

TEST_CASE("merges: both queues do what the definition says") {
  std::mt19937_64 random(17);
  for (int round = 0; round < 3000; ++round) {
    const TableRule rule = random_rule(random);
    std::vector<int32_t> ids(random() % 60);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % 4);
    const std::vector<int32_t> expected = by_definition(rule, ids);
    const std::vector<int32_t> heap = by_queue(rule, ids, HeapQueue());
    const std::vector<int32_t> buckets = by_queue(rule, ids, BucketQueue(kRanks));
    if (heap != expected || buckets != expected) {
      CAPTURE(round, ids);
      REQUIRE(heap == expected);
      REQUIRE(buckets == expected);
    }
  }
}

}  // namespace nibble::test
