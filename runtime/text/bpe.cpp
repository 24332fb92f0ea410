// Encoding and decoding of byte-level BPE.
#include "runtime/text/bpe.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "formats/tensor_file.h"
#include "runtime/text/byte_level.h"
#include "runtime/text/utf8.h"

namespace nibble {
namespace {

// Words up to this many bytes are merged in a small array by looking for the least rank; above,
// run_merges() is faster.
constexpr size_t kShortWord = 32;

// A text with its ill-formed bytes masked, for PCRE2 and the same length: the control character
// U+0001 is, like U+FFFD, no letter, digit or white space, so the words are those of the text with
// replacement characters.
std::string mask_invalid(std::string_view text) {
  std::string masked(text);
  for (size_t at = utf8_valid_prefix(text); at < text.size();) {
    const Utf8Step step = utf8_step(text.substr(at));
    if (!step.valid) masked.replace(at, step.length, step.length, '\x01');
    at += step.length;
    at += utf8_valid_prefix(text.substr(at));
  }
  return masked;
}

// Words of this call and where in the output their tokens are. One entry a slot, the last word
// wins: bounded, and a hit costs one comparison.
struct WordCache {
  struct Entry {
    std::string_view word;
    size_t begin = 0;  // tokens in the output
    uint32_t count = 0;
  };
  static constexpr size_t kSlots = 4096;
  static constexpr size_t kMaxWord = 64;    // bytes
  static constexpr size_t kMinText = 4096;  // bytes; shorter texts repeat too little
  std::vector<Entry> entries;

  Entry& slot(std::string_view word) {
    return entries[XXH3_64bits(word.data(), word.size()) % kSlots];
  }
};

}  // namespace

struct BpeTokenizer::Scratch {
  WordCache cache;
  std::vector<MergeSymbol> symbols;
  std::string spelling;
};

BpeTokenizer::BpeTokenizer(const Metadata& meta, const PreType& pre, const CancelToken* cancel)
    : vocab_(read_vocab(meta, false, cancel)),
      merges_(meta, vocab_, cancel),
      specials_(meta, vocab_),
      splitter_(pre.patterns),
      ignore_merges_(pre.ignore_merges) {
  n_vocab_ = vocab_.size();
  bos_ = vocab_.bos;
  eos_ = vocab_.eos;
  unk_ = vocab_.unk;
  add_bos_ = vocab_.add_bos.value_or(pre.add_bos) && bos_ >= 0;
  add_eos_ = vocab_.add_eos.value_or(false) && eos_ >= 0;
  eog_ = vocab_.eog;
  model_ = "gpt2";
  pre_ = pre.name;
  find_bytes();
}

void BpeTokenizer::find_bytes() {
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    std::string spelling;
    append_utf8(spelling, byte_level_char(static_cast<uint8_t>(byte)));
    const int32_t id = vocab_.table.find(spelling);
    byte_ids_[byte] = id >= 0 && is_mergeable(vocab_, id) ? id : -1;
    has_all_bytes_ = has_all_bytes_ && byte_ids_[byte] >= 0;
  }
}

std::vector<int32_t> BpeTokenizer::encode(std::span<const TextSpan> spans, bool add_special) const {
  const JoinedText joined(spans);
  std::vector<int32_t> out;
  out.reserve(joined.text().size() / 4 + 2);
  if (add_special && add_bos_) out.push_back(bos_);
  Scratch scratch;
  if (joined.text().size() >= WordCache::kMinText) scratch.cache.entries.resize(WordCache::kSlots);
  joined.cut(
      specials_, [&](std::string_view text) { encode_text(text, scratch, out); },
      [&](int32_t id) { out.push_back(id); });
  // A text that brings its own BOS does not get a second one.
  if (add_special && add_bos_ && out.size() > 1 && out[1] == bos_) out.erase(out.begin());
  if (add_special && add_eos_) out.push_back(eos_);
  return out;
}

void BpeTokenizer::encode_text(std::string_view text, Scratch& scratch,
                               std::vector<int32_t>& out) const {
  std::string masked;
  std::string_view subject = text;
  if (utf8_valid_prefix(text) != text.size()) {
    masked = mask_invalid(text);
    subject = masked;
  }
  Splitter::Cursor cursor(splitter_, subject);
  std::string_view piece;
  while (cursor.next(piece)) {
    const auto at = static_cast<size_t>(piece.data() - subject.data());
    encode_word(text.substr(at, piece.size()), scratch, out);
  }
}

void BpeTokenizer::encode_word(std::string_view word, Scratch& scratch,
                               std::vector<int32_t>& out) const {
  WordCache::Entry* entry = nullptr;
  if (!scratch.cache.entries.empty() && word.size() > 1 && word.size() <= WordCache::kMaxWord) {
    entry = &scratch.cache.slot(word);
    if (entry->word == word) {
      for (uint32_t i = 0; i < entry->count; ++i) out.push_back(out[entry->begin + i]);
      return;
    }
  }
  const size_t begin = out.size();
  const int32_t whole = ignore_merges_ ? whole_word(word, scratch) : -1;
  std::string replaced;
  if (whole >= 0) {
    out.push_back(whole);
  } else {
    const auto is_missing = [&](char c) { return byte_ids_[static_cast<uint8_t>(c)] < 0; };
    if (!has_all_bytes_ && std::any_of(word.begin(), word.end(), is_missing)) {
      for (const char c : word)
        replaced += is_missing(c) ? kUtf8Replacement : std::string_view(&c, 1);
      word = replaced;
    }
    if (word.size() <= kShortWord) {
      merge_short(word, out);
    } else {
      merge_long(word, scratch, out);
    }
  }
  if (entry != nullptr && replaced.empty()) {
    *entry = {word, begin, static_cast<uint32_t>(out.size() - begin)};
  }
}

int32_t BpeTokenizer::whole_word(std::string_view word, Scratch& scratch) const {
  if (word.size() > vocab_.max_text_bytes) return -1;
  scratch.spelling.clear();
  append_byte_level(scratch.spelling, word);
  const int32_t id = vocab_.table.find(scratch.spelling);
  return id >= 0 && is_mergeable(vocab_, id) ? id : -1;
}

void BpeTokenizer::merge_short(std::string_view word, std::vector<int32_t>& out) const {
  std::array<int32_t, kShortWord> ids = {};
  std::array<int32_t, kShortWord> ranks = {};  // of the pair that starts here, -1: none
  size_t n = word.size();
  for (size_t i = 0; i < n; ++i) ids[i] = byte_ids_[static_cast<uint8_t>(word[i])];
  const auto rank_at = [&](size_t i) {
    return i + 1 < n ? merges_.find_pair(ids[i], ids[i + 1]) : -1;
  };
  for (size_t i = 0; i < n; ++i) ranks[i] = rank_at(i);
  for (;;) {
    size_t best = n;
    for (size_t i = 0; i + 1 < n; ++i) {
      if (ranks[i] >= 0 && (best == n || ranks[i] < ranks[best])) best = i;
    }
    if (best == n) break;
    ids[best] = merges_.result(ranks[best]);
    for (size_t i = best + 1; i + 1 < n; ++i) {
      ids[i] = ids[i + 1];
      ranks[i] = ranks[i + 1];
    }
    --n;
    ranks[best] = rank_at(best);
    if (best > 0) ranks[best - 1] = rank_at(best - 1);
  }
  for (size_t i = 0; i < n; ++i) emit(ids[i], out);
}

void BpeTokenizer::merge_long(std::string_view word, Scratch& scratch,
                              std::vector<int32_t>& out) const {
  std::vector<MergeSymbol>& symbols = scratch.symbols;
  symbols.resize(word.size());
  for (size_t i = 0; i < word.size(); ++i) {
    const auto at = static_cast<int32_t>(i);
    symbols[i] = {at - 1, at + 1, byte_ids_[static_cast<uint8_t>(word[i])], -1};
  }
  run_merges(std::span<MergeSymbol>(symbols), merges_, merges_.size());
  for (size_t at = 0; at < symbols.size(); at = static_cast<size_t>(symbols[at].next)) {
    emit(symbols[at].id, out);
  }
}

void BpeTokenizer::emit(int32_t symbol, std::vector<int32_t>& out) const {
  if (symbol < n_vocab_) {
    // Below 0: a byte without a token, in a vocabulary without U+FFFD as well.
    const int32_t id = symbol >= 0 ? symbol : vocab_.fallback();
    if (id >= 0) out.push_back(id);
    return;
  }
  std::string bytes;
  append_from_byte_level(bytes, merges_.extra_text(symbol));
  for (const char c : bytes) {
    if (byte_ids_[static_cast<uint8_t>(c)] >= 0) out.push_back(byte_ids_[static_cast<uint8_t>(c)]);
  }
}

void BpeTokenizer::append_piece(std::string& to, int32_t id, bool special) const {
  const std::string_view text = vocab_.text(id);
  switch (vocab_.type(id)) {
    case TokenType::control:
    case TokenType::unknown:
      if (special) to += text;
      break;
    case TokenType::user_defined:
      to += text;
      break;
    case TokenType::byte:
      to += static_cast<char>(*parse_byte_token(text));
      break;
    default:
      append_from_byte_level(to, text);
  }
}

std::string BpeTokenizer::piece(int32_t id, bool special) const {
  std::string out;
  append_piece(out, id, special);
  return out;
}

std::string BpeTokenizer::decode(std::span<const int32_t> ids, bool special) const {
  std::string out;
  for (const int32_t id : ids) append_piece(out, id, special);
  return out;
}

}  // namespace nibble
