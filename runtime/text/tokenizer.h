#pragma once
// Text to token ids and back. Immutable after construction and safe to share between threads.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

class CancelToken;
class Metadata;

/// A piece of a prompt. Special tokens (<|im_end|> ...) are recognised only where parse_special is
/// set: a template's own text has it, what a user typed has not. Neighbouring pieces are otherwise
/// tokenized as one text, so that a border between them never changes the ids.
struct TextSpan {
  std::string_view text;
  bool parse_special = false;
};

/// GGUF's tokenizer.ggml.token_type.
enum class TokenType : uint8_t {
  undefined = 0,
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6,
};

class Tokenizer {
 public:
  /// From tokenizer.ggml.*. The tokenizer keeps views into the file that the metadata describes:
  /// the file must outlive it (the Metadata object need not). Errors: bad_file (inconsistent
  /// vocabulary), unsupported (names model or pre-type and says which are known), cancelled.
  static std::unique_ptr<Tokenizer> from_metadata(const Metadata&,
                                                  const CancelToken* cancel = nullptr);
  virtual ~Tokenizer() = default;

  /// add_bos/add_eos: as the file's flags say, when the caller wants the model's usual framing. A
  /// text that starts with its own BOS gets no second one. Linear in the text. Error: bad_argument
  /// for a text of 2 GiB.
  virtual std::vector<int32_t> encode(std::span<const TextSpan> spans, bool add_special) const = 0;
  std::vector<int32_t> encode(std::string_view text, bool add_special, bool parse_special) const {
    const TextSpan span{text, parse_special};
    return encode(std::span<const TextSpan>(&span, 1), add_special);
  }

  /// Bytes of one token as they stand in running text. Control tokens give "" unless special.
  /// Precondition: 0 <= id < n_vocab().
  virtual std::string piece(int32_t id, bool special) const = 0;
  /// Bytes of a sequence; the inverse of encode for text without special tokens, including the
  /// removal of a prefix space that encode added.
  virtual std::string decode(std::span<const int32_t> ids, bool special) const = 0;

  /// The token's text as the vocabulary spells it ("Ġthe", "▁the").
  virtual std::string_view token_text(int32_t id) const = 0;
  virtual TokenType token_type(int32_t id) const = 0;
  /// Id of a token by its vocabulary spelling, -1 if there is none.
  virtual int32_t find(std::string_view token_text) const = 0;

  int32_t n_vocab() const noexcept { return n_vocab_; }
  int32_t bos() const noexcept { return bos_; }  // -1: none
  int32_t eos() const noexcept { return eos_; }
  int32_t unk() const noexcept { return unk_; }
  bool adds_bos() const noexcept { return add_bos_; }
  bool adds_eos() const noexcept { return add_eos_; }
  /// Does this token end a generation (end of sequence, end of turn ...)?
  bool is_eog(int32_t id) const noexcept;
  std::span<const int32_t> eog_ids() const noexcept { return eog_; }
  /// "gpt2" and the pre-type, "llama", ... as the file names them.
  const std::string& model() const noexcept { return model_; }
  const std::string& pre() const noexcept { return pre_; }

 protected:
  int32_t n_vocab_ = 0;
  int32_t bos_ = -1, eos_ = -1, unk_ = -1;
  bool add_bos_ = false, add_eos_ = false;
  std::vector<int32_t> eog_;  // sorted
  std::string model_, pre_;
};

/// Turns token bytes into text that never ends inside a code point. Invalid bytes come out as
/// U+FFFD, once per maximal ill-formed part (Unicode 15, section 3.9).
class Utf8Stream {
 public:
  /// Appends bytes; returns the text that is now complete.
  std::string push(std::string_view bytes);
  /// What is left at the end of a stream: U+FFFD if bytes were waiting, else "".
  std::string finish();

 private:
  std::string pending_;  // at most 3 bytes
};

}  // namespace nibble
