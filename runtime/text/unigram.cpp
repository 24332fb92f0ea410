// Normalizing, the best path, decoding.
#include "runtime/text/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/io/error.h"
#include "formats/tensor_file.h"
#include "runtime/text/sentencepiece_text.h"
#include "runtime/text/utf8.h"

namespace nibble {
namespace {

constexpr float kUnknownPenalty = 10;    // an unknown character costs this more than any piece
constexpr size_t kMaxPieceBytes = 1024;  // bounds the walk at one place of a text

// Bytes of the character at the front; ill-formed parts count byte by byte.
size_t char_length(std::string_view text) noexcept {
  const Utf8Step step = utf8_step(text);
  return step.valid ? step.length : 1;
}

bool is_normal(TokenType type) noexcept {
  return type == TokenType::normal || type == TokenType::undefined;
}

CharsMap read_chars_map(const Metadata& meta) {
  const MetaValue* value = meta.find("tokenizer.ggml.precompiled_charsmap");
  if (value == nullptr) return {};
  if (value->type != MetaType::array ||
      (value->item_type != MetaType::u8 && value->item_type != MetaType::i8)) {
    fail(ErrorCode::bad_file, "{}: metadata key '{}': expected an array of bytes, got another type",
         meta.file(), value->key);
  }
  return CharsMap(value->items, meta.file());
}

std::vector<std::pair<std::string_view, int32_t>> pieces_of(const Metadata& meta,
                                                            const Vocab& vocab) {
  std::vector<std::pair<std::string_view, int32_t>> pieces;
  for (int32_t id = 0; id < vocab.size(); ++id) {
    const std::string_view text = vocab.text(id);
    if (!is_normal(vocab.type(id)) || text.empty()) continue;
    if (text.size() > kMaxPieceBytes) {
      fail(ErrorCode::bad_file, "{}: token {}: expected at most {} bytes, got {}", meta.file(), id,
           kMaxPieceBytes, text.size());
    }
    pieces.emplace_back(text, id);
  }
  return pieces;
}

}  // namespace

// The best path that ends at a place.
struct UnigramTokenizer::Best {
  float score = 0;
  int32_t start = -1;  // where its last piece starts; -1: no path yet
  int32_t id = -1;     // of that piece, -1: an unknown character
};

struct UnigramTokenizer::Scratch {
  std::string text;
  std::vector<Best> best;  // [bytes + 1]
  std::vector<int32_t> ends;
};

UnigramTokenizer::UnigramTokenizer(const Metadata& meta, const CancelToken* cancel)
    : vocab_(read_vocab(meta, false, cancel)),
      specials_(meta, vocab_),
      chars_map_(read_chars_map(meta)),
      trie_(pieces_of(meta, vocab_)) {
  add_space_prefix_ = meta.get_bool("tokenizer.ggml.add_space_prefix").value_or(true);
  remove_extra_spaces_ = meta.get_bool("tokenizer.ggml.remove_extra_whitespaces").value_or(true);
  read_scores(meta);
  set_roles();
  find_bytes();
}

void UnigramTokenizer::read_scores(const Metadata& meta) {
  const MetaValue* value = meta.find("tokenizer.ggml.scores");
  if (value == nullptr) {
    fail(ErrorCode::bad_file,
         "{}: metadata key 'tokenizer.ggml.scores': expected the scores of a Unigram model, got no "
         "such key",
         meta.file());
  }
  check_array_length(meta, *value, vocab_.texts.size());
  scores_ = meta.get_floats("tokenizer.ggml.scores").value();
  float least = std::numeric_limits<float>::max();
  bool any = false;
  for (int32_t id = 0; id < vocab_.size(); ++id) {
    const float score = scores_[static_cast<size_t>(id)];
    if (!std::isfinite(score)) {
      fail(ErrorCode::bad_file, "{}: score of token {}: expected a finite number, got {}",
           meta.file(), id, score);
    }
    if (!is_normal(vocab_.type(id))) continue;
    least = std::min(least, score);
    any = true;
  }
  unk_score_ = (any ? least : 0) - kUnknownPenalty;
}

void UnigramTokenizer::set_roles() {
  n_vocab_ = vocab_.size();
  bos_ = vocab_.bos;
  eos_ = vocab_.eos;
  unk_ = vocab_.unk;
  if (unk_ < 0) {
    const auto at = std::find(vocab_.types.begin(), vocab_.types.end(), TokenType::unknown);
    if (at != vocab_.types.end()) unk_ = static_cast<int32_t>(at - vocab_.types.begin());
    vocab_.unk = unk_;
  }
  add_bos_ = vocab_.add_bos.value_or(false) && bos_ >= 0;
  add_eos_ = vocab_.add_eos.value_or(true) && eos_ >= 0;
  eog_ = vocab_.eog;
  model_ = "t5";
}

void UnigramTokenizer::find_bytes() {
  byte_ids_.fill(-1);
  for (int32_t id = 0; id < vocab_.size(); ++id) {
    if (vocab_.type(id) == TokenType::byte) byte_ids_[*parse_byte_token(vocab_.text(id))] = id;
  }
  has_all_bytes_ = std::find(byte_ids_.begin(), byte_ids_.end(), -1) == byte_ids_.end();
}

std::vector<int32_t> UnigramTokenizer::encode(std::span<const TextSpan> spans,
                                              bool add_special) const {
  const JoinedText joined(spans);
  std::vector<int32_t> out;
  out.reserve(joined.text().size() / 4 + 2);
  if (add_special && add_bos_) out.push_back(bos_);
  Scratch scratch;
  joined.cut(
      specials_, [&](std::string_view text) { encode_text(text, scratch, out); },
      [&](int32_t id) { out.push_back(id); });
  // A text that brings its own BOS does not get a second one.
  if (add_special && add_bos_ && out.size() > 1 && out[1] == bos_) out.erase(out.begin());
  if (add_special && add_eos_) out.push_back(eos_);
  return out;
}

// What the map makes of the front of the text, and how many bytes that front has.
std::string_view UnigramTokenizer::normalized_front(std::string_view text,
                                                    size_t& length) const noexcept {
  const CharsMap::Match match = chars_map_.match(text);
  length = match.length;
  if (length > 0) return match.text;
  length = char_length(text);
  if (length == 1 && static_cast<uint8_t>(text[0]) >= 0x80) return kUtf8Replacement;
  return text.substr(0, length);
}

// Spaces become U+2581. Where extra spaces are removed, none is left at the borders of the text and
// one of every run.
void UnigramTokenizer::normalize(std::string_view text, std::string& to) const {
  to.clear();
  size_t length = 0;
  while (remove_extra_spaces_ && !text.empty() && normalized_front(text, length) == " ") {
    text.remove_prefix(length);
  }
  if (text.empty()) return;
  if (add_space_prefix_) to = kSpaceMark;
  bool after_space = remove_extra_spaces_;
  for (; !text.empty(); text.remove_prefix(length)) {
    std::string_view part = normalized_front(text, length);
    while (after_space && part.starts_with(' ')) part.remove_prefix(1);
    if (part.empty()) continue;
    for (const char c : part) {
      if (c == ' ') {
        to += kSpaceMark;
      } else {
        to += c;
      }
    }
    after_space = remove_extra_spaces_ && part.ends_with(' ');
  }
  while (remove_extra_spaces_ && to.ends_with(kSpaceMark)) to.resize(to.size() - kSpaceMark.size());
}

void UnigramTokenizer::encode_text(std::string_view raw, Scratch& scratch,
                                   std::vector<int32_t>& out) const {
  normalize(raw, scratch.text);
  const std::string_view text = scratch.text;
  std::vector<Best>& best = scratch.best;
  best.assign(text.size() + 1, Best());
  for (size_t at = 0; at < text.size();) {
    const float so_far = best[at].score;
    const auto start = static_cast<int32_t>(at);
    const auto offer = [&](size_t end, float score, int32_t id) {
      Best& target = best[end];
      const float sum = score + so_far;
      if (target.start < 0 || sum > target.score) target = {sum, start, id};
    };
    const size_t one = char_length(text.substr(at));
    bool has_one = false;
    trie_.walk(text.substr(at), [&](int32_t id, size_t length) {
      offer(at + length, scores_[static_cast<size_t>(id)], id);
      has_one = has_one || length == one;
    });
    if (!has_one) offer(at + one, unk_score_, -1);
    at += one;
  }
  std::vector<int32_t>& ends = scratch.ends;
  ends.clear();
  for (auto end = static_cast<int32_t>(text.size()); end > 0;
       end = best[static_cast<size_t>(end)].start) {
    ends.push_back(end);
  }
  bool again = false;  // behind an unknown token
  for (size_t i = ends.size(); i-- > 0;) {
    const auto end = static_cast<size_t>(ends[i]);
    const auto start = static_cast<size_t>(best[end].start);
    const int32_t id = best[end].id;
    if (id >= 0) {
      out.push_back(id);
    } else {
      emit_unknown(text.substr(start, end - start), again, out);
    }
    again = id < 0;
  }
}

void UnigramTokenizer::emit_unknown(std::string_view text, bool again,
                                    std::vector<int32_t>& out) const {
  if (has_all_bytes_) {
    for (const char c : text) out.push_back(byte_ids_[static_cast<uint8_t>(c)]);
  } else if (!again && vocab_.fallback() >= 0) {
    out.push_back(vocab_.fallback());
  }
}

std::string UnigramTokenizer::piece(int32_t id, bool special) const {
  std::string out;
  append_sentencepiece(vocab_, id, special, out);
  return out;
}

std::string UnigramTokenizer::decode(std::span<const int32_t> ids, bool special) const {
  return decode_sentencepiece(vocab_, ids, special, add_space_prefix_);
}

}  // namespace nibble
