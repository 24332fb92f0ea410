#pragma once
// All tokens that start at a place of a text, in one walk: a trie over the vocabulary whose nodes
// lie level by level in one array, the children of a node side by side in the order of their bytes.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace nibble {

class PieceTrie {
 public:
  /// tokens: texts that are not empty, with their ids; of equal texts the first id counts. The
  /// texts are needed during the call only.
  explicit PieceTrie(std::vector<std::pair<std::string_view, int32_t>> tokens);

  /// on_token(id, length) for every token that text starts with, the shortest first.
  template <typename OnToken>
  void walk(std::string_view text, const OnToken& on_token) const {
    size_t node = 0;
    for (size_t depth = 0; depth < text.size(); ++depth) {
      const auto byte = static_cast<uint8_t>(text[depth]);
      const auto begin = labels_.begin() + nodes_[node].first;
      const auto end = begin + nodes_[node].count;
      const auto child = std::lower_bound(begin, end, byte);
      if (child == end || *child != byte) return;
      node = static_cast<size_t>(child - labels_.begin());
      if (nodes_[node].id >= 0) on_token(nodes_[node].id, depth + 1);
    }
  }

 private:
  struct Node {
    int32_t first = 0;  // its children: [first, first + count)
    int32_t count = 0;
    int32_t id = -1;  // of the token that ends here
  };
  std::vector<Node> nodes_;      // [0] is the root
  std::vector<uint8_t> labels_;  // [nodes]: the byte that leads to a node
};

}  // namespace nibble
