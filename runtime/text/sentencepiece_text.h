#pragma once
// Pieces of SentencePiece vocabularies, BPE and Unigram alike, back to text.
#include <cstdint>
#include <span>
#include <string>

#include "runtime/text/vocab.h"

namespace nibble {

/// Adds one token's text: marks become spaces, byte tokens bytes; control tokens only if special.
void append_sentencepiece(const Vocab& vocab, int32_t id, bool special, std::string& to);

/// A text of tokens. prefix: encode() puts a space before a text, and before what follows a special
/// token; it is taken away again.
std::string decode_sentencepiece(const Vocab& vocab, std::span<const int32_t> ids, bool special,
                                 bool prefix);

}  // namespace nibble
