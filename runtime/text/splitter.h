#pragma once
// Cuts text into words by the patterns of a PreType (PCRE2 with its JIT). Immutable and safe to
// share; a Cursor is one walk over one text.
//
// Time is linear and the stack small because every repeat in the table is over one character class:
// the JIT keeps a counter for those, no stack. Without a JIT (no executable memory) PCRE2's
// interpreter gives the same pieces; it keeps its frames on the heap.
#include <memory>
#include <span>
#include <string_view>
#include <vector>

struct pcre2_real_code_8;
struct pcre2_real_match_context_8;
struct pcre2_real_match_data_8;

namespace nibble {

class Splitter {
 public:
  /// Error: internal if a pattern of the table does not compile.
  explicit Splitter(std::span<const std::string_view> patterns, bool use_jit = true);
  ~Splitter();
  Splitter(const Splitter&) = delete;
  Splitter& operator=(const Splitter&) = delete;

  class Cursor {
   public:
    /// text must be valid UTF-8 and outlive the cursor.
    Cursor(const Splitter& splitter, std::string_view text);
    ~Cursor();
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;

    /// The next piece, never empty; together they are the text. False at the end.
    bool next(std::string_view& piece);

   private:
    struct Level {
      std::string_view text;
      size_t at = 0;         // handed out up to here
      size_t match_end = 0;  // a match found ahead: [at, match_end) once `at` reaches it
    };
    std::string_view take(size_t level);
    bool find(size_t level, size_t& begin, size_t& end);

    const Splitter& splitter_;
    std::vector<Level> levels_;  // [patterns]
    pcre2_real_match_data_8* match_;
  };

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const noexcept;
    void operator()(pcre2_real_match_context_8* limits) const noexcept;
  };
  struct Code {
    std::unique_ptr<pcre2_real_code_8, Free> code;
    bool jit = false;
  };
  std::vector<Code> codes_;
  std::unique_ptr<pcre2_real_match_context_8, Free> limits_;
};

}  // namespace nibble
