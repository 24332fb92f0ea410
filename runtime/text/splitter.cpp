// PCRE2 behind the cursor of pieces.
#include "runtime/text/splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <limits>
#include <new>
#include <string>

#include "formats/io/error.h"

namespace nibble {
namespace {

// PCRE2's \s has U+180E and lacks U+0085; Unicode's White_Space is what the models were made with.
std::string with_white_space(std::string_view pattern) {
  constexpr std::string_view kWhite = R"(\t-\r\x{85}\p{Z})";
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      if (escaped == 's' && in_class) {
        out += kWhite;
      } else if (escaped == 's' || escaped == 'S') {
        out.append(escaped == 's' ? "[" : "[^").append(kWhite).append("]");
      } else {
        (out += c) += escaped;
      }
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

}  // namespace

void Splitter::Free::operator()(pcre2_real_code_8* code) const noexcept {
  pcre2_code_free(code);
}

void Splitter::Free::operator()(pcre2_real_match_context_8* limits) const noexcept {
  pcre2_match_context_free(limits);
}

Splitter::~Splitter() = default;

Splitter::Splitter(std::span<const std::string_view> patterns, bool use_jit)
    : limits_(pcre2_match_context_create(nullptr)) {
  if (limits_ == nullptr) throw std::bad_alloc();
  // PCRE2 stops after ten million steps as a guard against patterns from strangers. Ours come from
  // the table; giving back a run of n characters one by one is n steps, and n may be 2^31.
  pcre2_set_match_limit(limits_.get(), std::numeric_limits<uint32_t>::max());
  for (const std::string_view pattern : patterns) {
    const std::string text = with_white_space(pattern);
    int error = 0;
    PCRE2_SIZE at = 0;
    Code code;
    code.code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at,
                                  nullptr));
    if (code.code == nullptr) {
      fail(ErrorCode::internal, "pre-tokenizer pattern does not compile: PCRE2 error {} at {}",
           error, at);
    }
    code.jit = use_jit && pcre2_jit_compile(code.code.get(), PCRE2_JIT_COMPLETE) == 0;
    codes_.push_back(std::move(code));
  }
}

Splitter::Cursor::Cursor(const Splitter& splitter, std::string_view text)
    : splitter_(splitter), levels_(splitter.codes_.size()) {
  match_ = pcre2_match_data_create(1, nullptr);
  if (match_ == nullptr) throw std::bad_alloc();
  levels_[0].text = text;
}

Splitter::Cursor::~Cursor() {
  pcre2_match_data_free(match_);
}

bool Splitter::Cursor::next(std::string_view& piece) {
  size_t level = levels_.size();
  while (level-- > 0) {
    if (levels_[level].at == levels_[level].text.size()) continue;
    piece = take(level);
    while (++level < levels_.size()) {
      levels_[level] = {piece, 0, 0};
      piece = take(level);
    }
    return true;
  }
  return false;
}

// The next match of this level, or the text before it. Precondition: something is left.
std::string_view Splitter::Cursor::take(size_t level) {
  Level& state = levels_[level];
  const size_t begin = state.at;
  size_t match_begin = begin;
  size_t end = state.match_end;
  if (end <= begin && !find(level, match_begin, end)) match_begin = end = state.text.size();
  state.match_end = end;
  state.at = match_begin > begin ? match_begin : end;
  return state.text.substr(begin, state.at - begin);
}

bool Splitter::Cursor::find(size_t level, size_t& begin, size_t& end) {
  const Code& code = splitter_.codes_[level];
  const Level& state = levels_[level];
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(state.text.data());
  int rc = PCRE2_ERROR_JIT_STACKLIMIT;
  if (code.jit) {
    rc = pcre2_jit_match(code.code.get(), subject, state.text.size(), state.at, 0, match_,
                         splitter_.limits_.get());
  }
  if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
    rc = pcre2_match(code.code.get(), subject, state.text.size(), state.at,
                     PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match_, splitter_.limits_.get());
  }
  if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
    fail(ErrorCode::internal, "pre-tokenizer pattern {}: PCRE2 error {}", level, rc);
  }
  if (rc < 0) return false;
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match_);
  begin = range[0];
  end = range[1];
  return end > begin;  // an empty match cuts nothing; the table has no pattern that gives one
}

}  // namespace nibble
