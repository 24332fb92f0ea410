// One row a name. To add a model: take the patterns of its tokenizer.json ("pre_tokenizer", Split
// with behavior Isolated), one string a Split; a Digits step is \p{N} or \p{N}+; a ByteLevel step
// with use_regex is kGpt2. Check that no pattern can scan a long run again from each of its
// positions: K1 in tests/unit/text/tokenizer_scale_test.cpp runs every row.
#include "runtime/text/pre_types.h"

#include <algorithm>

namespace nibble {
namespace {

using Pattern = std::string_view;

#define NIBBLE_GPT2 R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"
#define NIBBLE_CONTRACTIONS R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
#define NIBBLE_SPACES R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"
// Llama-3 and its kin; they differ in how many digits stay together.
#define NIBBLE_LLAMA3(digits)                                     \
  NIBBLE_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" digits \
                      R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)" NIBBLE_SPACES
// o200k and Tekken: words end where small letters are followed by a capital.
#define NIBBLE_CASED(suffix, digits)                                                        \
  R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)" suffix  \
  R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)" suffix \
  R"(|\p{N})" digits R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)" NIBBLE_SPACES
#define NIBBLE_DEEPSEEK3_WORDS                         \
  R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)" \
  R"(|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)" NIBBLE_SPACES

constexpr Pattern kGpt2[] = {NIBBLE_GPT2};
constexpr Pattern kDefault[] = {R"([\p{P}\$\+<=>\^~\|]+)", NIBBLE_GPT2, R"(\p{N}+)",
                                R"([0-9][0-9][0-9])"};
constexpr Pattern kFalcon[] = {R"([\p{P}\$\+<=>\^~\|`]+)", NIBBLE_GPT2, R"([0-9][0-9][0-9])"};
constexpr Pattern kStarcoder[] = {R"(\p{N})", NIBBLE_GPT2};
constexpr Pattern kLlama3[] = {NIBBLE_LLAMA3("{1,3}")};
constexpr Pattern kQwen2[] = {NIBBLE_LLAMA3("")};
constexpr Pattern kQwen35[] = {
    NIBBLE_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)" NIBBLE_SPACES};
constexpr Pattern kMinicpm5[] = {R"(\p{N}{1,3})", NIBBLE_LLAMA3("+")};
constexpr Pattern kGpt4o[] = {NIBBLE_CASED(NIBBLE_CONTRACTIONS "?", "{1,3}")};
constexpr Pattern kTekken[] = {NIBBLE_CASED("", "")};
constexpr Pattern kYoutu[] = {
    R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|[\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B}\x{FF0C}\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
    NIBBLE_CASED(NIBBLE_CONTRACTIONS "?", "")};
constexpr Pattern kDeepseekCoder[] = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                                      R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)",
                                      R"(\p{N})"};
// \s+$ of the original, written so that a run of spaces is not scanned from each of its positions.
constexpr Pattern kDeepseekLlm[] = {
    R"([\r\n])",
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386})"
    R"(\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F})"
    R"(\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA})"
    R"(\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A})"
    R"(\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D})"
    R"(\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4})"
    R"(\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3})"
    R"(\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107})"
    R"(\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D})"
    R"(\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184})"
    R"(\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D})"
    R"(\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E})"
    R"(\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A})"
    R"(\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB})"
    R"(\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)",
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
    R"((?<!\s)\s++\z)",
    R"([\x{800}-\x{9FA5}\x{AC00}-\x{D7FF}]+)",
    R"(\p{N}+)"};
constexpr Pattern kDeepseek3[] = {R"(\p{N}{1,3})",
                                  R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
                                  NIBBLE_DEEPSEEK3_WORDS};
constexpr Pattern kBloom[] = {
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)"};
constexpr Pattern kViking[] = {
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)", R"(\p{N})"};
constexpr Pattern kChameleon[] = {R"(<sentinel:[0-9]+>)",    R"(IMGIMG[A-I]{1,4}Z)",
                                  R"([\t\n]|    |  )",       R"(\p{N})",
                                  R"([\p{P}!-/:-@\[-`{-~])", NIBBLE_GPT2};
constexpr Pattern kBailingmoe[] = {
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr Pattern kSeedCoder[] = {
    NIBBLE_CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+)" NIBBLE_SPACES};

// name, patterns, ignore_merges, add_bos
constexpr PreType kPreTypes[] = {
    {"default", kDefault, false, false},
    {"gpt-2", kGpt2, false, false},
    {"phi-2", kGpt2, false, false},
    {"mpt", kGpt2, false, false},
    {"olmo", kGpt2, false, false},
    {"jais", kGpt2, false, false},
    {"trillion", kGpt2, false, false},
    {"granite-docling", kGpt2, false, false},
    {"gigachat", kGpt2, false, false},
    {"exaone4", kGpt2, false, false},
    {"a.x-4.0", kGpt2, false, false},
    {"mellum", kGpt2, false, false},
    {"falcon", kFalcon, false, false},
    {"starcoder", kStarcoder, false, false},
    {"refact", kStarcoder, false, false},
    {"command-r", kStarcoder, false, false},
    {"smollm", kStarcoder, false, false},
    {"codeshell", kStarcoder, false, false},
    {"exaone", kStarcoder, false, false},
    {"minerva-7b", kStarcoder, false, false},
    {"mellum2", kStarcoder, false, false},
    {"llama-bpe", kLlama3, true, true},
    {"llama3", kLlama3, true, true},
    {"llama-v3", kLlama3, true, true},
    {"falcon3", kLlama3, true, true},
    {"falcon-h1", kLlama3, true, true},
    {"pixtral", kLlama3, true, true},
    {"midm-2.0", kLlama3, true, true},
    {"lfm2", kLlama3, true, true},
    {"dbrx", kLlama3, false, false},
    {"smaug-bpe", kLlama3, false, false},
    {"glm4", kLlama3, false, false},
    {"chatglm-bpe", kLlama3, false, false},
    {"minicpm5", kMinicpm5, true, false},
    {"qwen2", kQwen2, false, false},
    {"stablelm2", kQwen2, false, false},
    {"deepseek-r1-qwen", kQwen2, false, false},
    {"hunyuan", kQwen2, false, false},
    {"megrez", kQwen2, false, false},
    {"kormo", kQwen2, false, false},
    {"grok-2", kQwen2, false, false},
    {"solar-open", kQwen2, false, false},
    {"qwen35", kQwen35, false, false},
    {"gpt-4o", kGpt4o, false, false},
    {"llama4", kGpt4o, false, false},
    {"kanana2", kGpt4o, false, false},
    {"minimax-m2", kGpt4o, false, false},
    {"tekken", kTekken, true, true},
    {"youtu", kYoutu, true, false},
    {"deepseek-coder", kDeepseekCoder, false, false},
    {"deepseek-llm", kDeepseekLlm, false, false},
    {"deepseek-v3", kDeepseek3, false, false},
    {"hunyuan-dense", kDeepseek3, false, false},
    {"joyai-llm", kDeepseek3, false, false},
    {"bloom", kBloom, false, false},
    {"poro-chat", kBloom, false, false},
    {"gpt3-finnish", kBloom, false, false},
    {"viking", kViking, false, false},
    {"chameleon", kChameleon, false, true},
    {"bailingmoe", kBailingmoe, false, false},
    {"bailingmoe2", kBailingmoe, false, false},
    {"llada-moe", kBailingmoe, false, false},
    {"seed-coder", kSeedCoder, false, false},
};

}  // namespace

std::span<const PreType> pre_types() noexcept {
  return kPreTypes;
}

const PreType* find_pre_type(std::string_view name) noexcept {
  const auto* row = std::find_if(std::begin(kPreTypes), std::end(kPreTypes),
                                 [&](const PreType& r) { return r.name == name; });
  return row == std::end(kPreTypes) ? nullptr : row;
}

}  // namespace nibble
