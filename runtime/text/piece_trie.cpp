// Building the trie: sorted texts are ranges that share a front; level by level each range is cut
// by its next byte.
#include "runtime/text/piece_trie.h"

namespace nibble {

PieceTrie::PieceTrie(std::vector<std::pair<std::string_view, int32_t>> tokens) {
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  struct Range {
    size_t begin, end;
  };
  // One range a node, in the order of the nodes; a level's ranges go when the next level stands.
  std::vector<Range> level = {{0, tokens.size()}}, below;
  nodes_.resize(1);
  labels_.resize(1);
  size_t node = 0;
  for (size_t depth = 0; !level.empty(); ++depth) {
    for (auto [begin, end] : level) {
      // Texts that end here stand first.
      for (; begin < end && tokens[begin].first.size() == depth; ++begin) {
        if (nodes_[node].id < 0) nodes_[node].id = tokens[begin].second;
      }
      nodes_[node].first = static_cast<int32_t>(nodes_.size());
      while (begin < end) {
        const char byte = tokens[begin].first[depth];
        size_t next = begin + 1;
        while (next < end && tokens[next].first[depth] == byte) ++next;
        below.push_back({begin, next});
        nodes_.emplace_back();
        labels_.push_back(static_cast<uint8_t>(byte));
        ++nodes_[node].count;
        begin = next;
      }
      ++node;
    }
    level.swap(below);
    below.clear();
  }
}

}  // namespace nibble
