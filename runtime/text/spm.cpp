// Encoding and decoding of SentencePiece BPE.
#include "runtime/text/spm.h"

#include <algorithm>

#include "formats/tensor_file.h"
#include "runtime/text/sentencepiece_text.h"
#include "runtime/text/utf8.h"

namespace nibble {
namespace {

// Types that running text may become by merging. Unused tokens take part, as in the reference, but
// are taken apart again at the end.
bool takes_part(TokenType type) noexcept {
  return type == TokenType::normal || type == TokenType::undefined || type == TokenType::unused ||
         type == TokenType::user_defined;
}

}  // namespace

// Two neighbours merge if their joined text is a token; the merge is that token's id.
struct SpmTokenizer::Rule {
  const SpmTokenizer& tokenizer;
  std::string_view text;
  size_t max_bytes;  // of a merge

  int32_t find(std::span<const MergeSymbol> s, int32_t left, int32_t right) const noexcept {
    const auto begin = static_cast<size_t>(left);
    const auto end = static_cast<size_t>(s[static_cast<size_t>(right)].next);
    if (end - begin > max_bytes) return -1;
    return tokenizer.find_mergeable(text.substr(begin, end - begin));
  }
  int32_t rank(int32_t merge) const noexcept {
    return tokenizer.ranks_.of[static_cast<size_t>(merge)];
  }
  int32_t result(int32_t merge) const noexcept { return merge; }
};

SpmTokenizer::SpmTokenizer(const Metadata& meta, const CancelToken* cancel)
    : vocab_(read_vocab(meta, true, cancel)),
      specials_(meta, vocab_),
      ranks_(read_score_ranks(meta, vocab_.texts.size(), cancel)) {
  add_space_prefix_ = meta.get_bool("tokenizer.ggml.add_space_prefix").value_or(true);
  remove_extra_spaces_ = meta.get_bool("tokenizer.ggml.remove_extra_whitespaces").value_or(false);
  find_bytes();
  set_defaults();
}

// A file without the keys means SentencePiece's own numbers, where the vocabulary has them.
void SpmTokenizer::set_defaults() {
  const auto or_default = [&](int32_t id, int32_t fallback, TokenType type) {
    const bool fits = fallback < vocab_.size() && vocab_.type(fallback) == type;
    return id < 0 && fits ? fallback : id;
  };
  n_vocab_ = vocab_.size();
  vocab_.unk = unk_ = or_default(vocab_.unk, 0, TokenType::unknown);
  vocab_.bos = bos_ = or_default(vocab_.bos, 1, TokenType::control);
  vocab_.eos = eos_ = or_default(vocab_.eos, 2, TokenType::control);
  add_bos_ = vocab_.add_bos.value_or(true) && bos_ >= 0;
  add_eos_ = vocab_.add_eos.value_or(false) && eos_ >= 0;
  eog_ = vocab_.eog;
  if (eos_ >= 0 && !std::binary_search(eog_.begin(), eog_.end(), eos_)) {
    eog_.insert(std::lower_bound(eog_.begin(), eog_.end(), eos_), eos_);
  }
  model_ = "llama";
}

// By their type; in a file that types no token as byte, by their text.
void SpmTokenizer::find_bytes() {
  byte_ids_.fill(-1);
  const bool has_types =
      std::find(vocab_.types.begin(), vocab_.types.end(), TokenType::byte) != vocab_.types.end();
  for (int32_t id = 0; id < vocab_.size(); ++id) {
    if (has_types && vocab_.type(id) != TokenType::byte) continue;
    const std::optional<uint8_t> byte = parse_byte_token(vocab_.text(id));
    if (!byte) continue;
    vocab_.types[static_cast<size_t>(id)] = TokenType::byte;
    byte_ids_[*byte] = id;
  }
}

int32_t SpmTokenizer::find_mergeable(std::string_view text) const noexcept {
  return vocab_.table.find_key(text, [&](int32_t id) { return takes_part(vocab_.type(id)); });
}

std::vector<int32_t> SpmTokenizer::encode(std::span<const TextSpan> spans, bool add_special) const {
  // A U+2581 of the text is a space before anything is looked for, runs of spaces included.
  std::vector<std::string> folded(spans.size());
  std::vector<TextSpan> folded_spans(spans.begin(), spans.end());
  for (size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].text.find(kSpaceMark) == std::string_view::npos) continue;
    fold_spaces(spans[i].text, folded[i]);
    folded_spans[i].text = folded[i];
  }
  const JoinedText joined(folded_spans);
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

// What is merged: spaces stand for U+2581 (TextTable folds them), so usually the text as it is.
std::string_view SpmTokenizer::normalize(std::string_view text, std::string& to) const {
  if (!add_space_prefix_ && !remove_extra_spaces_) return text;
  to = text;
  if (remove_extra_spaces_) {
    const auto same_space = [](char a, char b) { return a == ' ' && b == ' '; };
    to.erase(std::unique(to.begin(), to.end(), same_space), to.end());
    if (to.starts_with(' ')) to.erase(to.begin());
    if (to.ends_with(' ')) to.pop_back();
  }
  if (add_space_prefix_ && !to.empty()) to.insert(to.begin(), ' ');
  return to;
}

void SpmTokenizer::encode_text(std::string_view text, Scratch& scratch,
                               std::vector<int32_t>& out) const {
  text = normalize(text, scratch.normalized);
  merge(text, vocab_.max_text_bytes, scratch.symbols);
  const std::vector<MergeSymbol>& symbols = scratch.symbols;
  for (size_t at = 0; at < symbols.size();) {
    const auto next = static_cast<size_t>(symbols[at].next);
    emit(text.substr(at, next - at), symbols[at].id, out);
    at = next;
  }
}

// Leaves the symbols linked from 0 on; id is -1 for a character that was not merged.
void SpmTokenizer::merge(std::string_view text, size_t max_bytes,
                         std::vector<MergeSymbol>& symbols) const {
  symbols.resize(text.size());
  int32_t prev = -1;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text.substr(at));
    const size_t length = step.valid ? step.length : 1;
    symbols[at] = {prev, static_cast<int32_t>(at + length), -1, -1};
    prev = static_cast<int32_t>(at);
    at += length;
  }
  run_merges(std::span<MergeSymbol>(symbols), Rule{*this, text, max_bytes}, ranks_.count);
}

// id: the token that a merge made, -1 for a character that was not merged. An unused token is taken
// apart: what merges without it takes its place, and so on.
void SpmTokenizer::emit(std::string_view text, int32_t id, std::vector<int32_t>& out) const {
  if (id < 0) id = find_mergeable(text);
  if (id < 0) return emit_character(text, out);
  if (vocab_.type(id) != TokenType::unused) return out.push_back(id);
  std::vector<MergeSymbol> symbols;
  std::vector<std::string_view> waiting = {text};  // the next one last
  while (!waiting.empty()) {
    const std::string_view part = waiting.back();
    waiting.pop_back();
    const int32_t part_id = find_mergeable(part);
    if (part_id >= 0 && vocab_.type(part_id) != TokenType::unused) {
      out.push_back(part_id);
      continue;
    }
    merge(part, part.size() - 1, symbols);
    if (static_cast<size_t>(symbols[0].next) == part.size()) {
      emit_character(part, out);
      continue;
    }
    const size_t first = waiting.size();
    for (size_t at = 0; at < part.size();) {
      const auto next = static_cast<size_t>(symbols[at].next);
      waiting.push_back(part.substr(at, next - at));
      at = next;
    }
    std::reverse(waiting.begin() + static_cast<std::ptrdiff_t>(first), waiting.end());
  }
}

void SpmTokenizer::emit_character(std::string_view text, std::vector<int32_t>& out) const {
  for (const char c : text) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    if (id >= 0) {
      out.push_back(id);
    } else {
      if (vocab_.fallback() >= 0) out.push_back(vocab_.fallback());
      return;
    }
  }
}

std::string SpmTokenizer::piece(int32_t id, bool special) const {
  std::string out;
  append_sentencepiece(vocab_, id, special, out);
  return out;
}

std::string SpmTokenizer::decode(std::span<const int32_t> ids, bool special) const {
  return decode_sentencepiece(vocab_, ids, special, add_space_prefix_);
}

}  // namespace nibble
