#pragma once
// The quality card of a quantized file: what it loses against the file it was made from, measured
// on a bundled text and kept in the metadata (nibble.card.*), where `inspect` shows it.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"
#include "runtime/engine/compare_models.h"

namespace nibble {

/// The text that cards are measured on: chapters of a novel of 1865, public domain.
std::string_view card_text() noexcept;
inline constexpr const char* kCardTextName = "Alice's Adventures in Wonderland, chapter 1";

struct QualityCard {
  std::string source;  // what was quantized: "F16"
  std::string text_name;
  std::string text_hash;  // XXH3 in hexadecimal
  ModelComparison measured;
  std::vector<float> tensor_errors;  // in the order of the file
};

/// Sets the card's keys; the same number of bytes for every measurement.
void set_card(GgufHeader& header, const QualityCard& card);
/// The card of a file; nothing if it has none, or not a whole one.
std::optional<QualityCard> read_card(const Metadata& meta);
/// One line: "KL divergence 0.0123 +/- 0.0005, same top token 93.1 %, perplexity 18.31 -> 18.52".
std::string comparison_line(const ModelComparison& measured);

}  // namespace nibble
