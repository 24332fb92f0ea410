// Long texts of one kind on a stack of 128 KiB: no recursion on input, no quadratic step. The fast
// test would take hours if a step were quadratic; the slow one prints seconds and bytes, so that
// the slope can be read off: `unit_text "[scale]"`.
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <random>

#include "tests/support/catch.h"
#include "tests/support/models.h"
#include "tests/support/small_stack.h"
#include "tests/support/toy_vocab.h"
#include "tests/support/vocabs.h"

namespace nibble::test {
namespace {

struct Run {
  const char* what;
  std::string text;
};

const std::vector<Run>& runs() {
  static const std::vector<Run> all = {{"A", "A"},
                                       {"CJK", "\xE4\xBD\xA0"},
                                       {"digit", "7"},
                                       {"space", " "},
                                       {"newline", "\n"},
                                       {"combining mark", "\xCC\x81"},
                                       {"emoji ZWJ", "\xF0\x9F\x91\xA9\xE2\x80\x8D"},
                                       {"punctuation", "!"},
                                       {"invalid byte", "\x80"},
                                       {"random letters", ""}};
  return all;
}

std::string repeated(const Run& run, size_t bytes) {
  std::string text;
  text.reserve(bytes + run.text.size());
  std::mt19937_64 random(3);
  while (text.size() < bytes) {
    if (run.text.empty()) {
      text += static_cast<char>('a' + random() % 26);
    } else {
      text += run.text;
    }
  }
  return text;
}

std::vector<int32_t> encode_on_small_stack(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<int32_t> ids;
  on_small_stack([&] { ids = tokenizer.encode(text, false, false); });
  return ids;
}

void check_runs(const Tokenizer& tokenizer, size_t bytes) {
  for (const Run& run : runs()) {
    const std::string text = repeated(run, bytes);
    CAPTURE(run.what);
    const auto ids = encode_on_small_stack(tokenizer, text);
    CHECK(tokenizer.decode(ids, false) == text);
  }
}

void print_times(const std::string& name, const Tokenizer& tokenizer) {
  std::string report = name + ": seconds for 4, 16, 64 MiB\n";
  for (const Run& run : runs()) {
    report += fmt::format("{:>16}", run.what);
    for (const size_t mib : {4, 16, 64}) {
      const std::string text = repeated(run, mib << 20);
      const auto start = std::chrono::steady_clock::now();
      const auto ids = encode_on_small_stack(tokenizer, text);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      if (tokenizer.model() != "bert") CHECK(tokenizer.decode(ids, false) == text);
      report += fmt::format("{:9.2f}", seconds.count());
    }
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    report += fmt::format("   most resident so far {} MiB\n", usage.ru_maxrss / 1024);
  }
  WARN(report);
}

}  // namespace

TEST_CASE("long texts of one kind: toy vocabularies") {
  for (const ToyVocab& vocab : {toy_bpe(), toy_spm()}) {
    const auto meta = vocab.metadata();
    check_runs(*Tokenizer::from_metadata(meta->get()), size_t{1} << 18);
  }
}

// Kinds that do not give every byte back: that they end in time is the test.
TEST_CASE("long texts of one kind: toy vocabularies of Unigram and WordPiece") {
  for (const ToyVocab& vocab : {toy_unigram(), toy_unigram(true), toy_wordpiece()}) {
    const auto meta = vocab.metadata();
    const auto tokenizer = Tokenizer::from_metadata(meta->get());
    for (const Run& run : runs()) {
      CAPTURE(vocab.model, run.what);
      const std::string text = repeated(run, size_t{1} << 20);
      CHECK(encode_on_small_stack(*tokenizer, text).size() <= 3 * text.size() + 3);
    }
  }
}

TEST_CASE("long texts of one kind: real vocabularies") {
  for (const std::string name : {"llama-bpe", "gpt-2", "llama-spm"}) {
    NIBBLE_VOCAB_OR_CONTINUE(vocab, name);
    check_runs(*vocab.tokenizer, size_t{1} << 20);
  }
}

TEST_CASE("long texts of one kind: 64 MiB, with the time each takes", "[slow][scale]") {
  for (const std::string name : {"llama-bpe", "gpt-2", "llama-spm", "bert-bge"}) {
    NIBBLE_VOCAB_OR_CONTINUE(vocab, name);
    print_times(name, *vocab.tokenizer);
  }
}

TEST_CASE("long texts of one kind: 64 MiB, Gemma 3", "[slow][scale]") {
  NIBBLE_MODEL_OR_SKIP(path, kGemma3);
  const TensorFile file = open_tensor_file(path);
  print_times("Gemma 3", *Tokenizer::from_metadata(file.meta()));
}

}  // namespace nibble::test
