#pragma once
// The option groups that commands share. A group is a struct and one function that declares its
// options; a command takes the groups it needs. Values that nobody gave stay empty, so that the
// order of precedence is plain: flag, then the model file, then the built-in default.
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "quant/kernels/kernels.h"
#include "runtime/engine/conversation.h"
#include "runtime/engine/sampler.h"
#include "runtime/engine/session.h"

namespace nibble {

class CommandLine;

struct ModelOptions {
  std::string model;  // path, or the name of a file in the model folder
  std::string isa;    // kernel table by name
  bool repack = true;
};

struct ContextOptions {
  int64_t n_ctx = 0;  // 0: the model's own, limited by memory
  int64_t n_batch = 2048;
  int64_t n_ubatch = 512;
  int n_threads = 0;
  std::optional<KvType> type_k;  // a cache has one type: give one, or both the same
  std::optional<KvType> type_v;
};

struct SamplingOptions {
  std::optional<float> temperature, top_p, min_p, typical_p;
  std::optional<int32_t> top_k, repeat_last_n;
  std::optional<float> repeat_penalty, presence_penalty, frequency_penalty;
  std::optional<int64_t> seed;  // -1: random
  std::vector<std::pair<int32_t, float>> logit_bias;
  std::vector<std::string> stages;
};

struct PromptOptions {
  std::optional<std::string> text;
  std::optional<std::string> file;
};

struct GenerationOptions {
  int64_t n_predict = -1;
  std::vector<std::string> stop;
  bool verbose = false;
};

struct ChatOptionsGroup {
  std::string system;
  bool raw = false;  // no template
  ConversationOptions conversation;
};

/// What --isa takes besides the names of tables, where `every_isa` says so.
inline constexpr const char* kEveryIsa = "all";
void add_model_options(CommandLine&, ModelOptions*, bool every_isa = false);
void add_context_options(CommandLine&, ContextOptions*);
/// The one of the context options that commands without a context take too.
void add_threads_option(CommandLine&, int* n_threads);
void add_sampling_options(CommandLine&, SamplingOptions*);
void add_prompt_options(CommandLine&, PromptOptions*);
void add_generation_options(CommandLine&, GenerationOptions*);
void add_chat_options(CommandLine&, ChatOptionsGroup*);

/// Flags over the file's own values over the built-in ones.
SamplerOptions sampler_options(const SamplingOptions& flags, const SamplerOptions& file);
/// What the model file asks of the sampler that nibble cannot do, as one line; "" if nothing.
std::string ignored_sampling_note(const SamplerOptions& file);
/// Errors: CommandError usage (-ctk and -ctv differ).
SessionOptions session_options(const ContextOptions& flags);

}  // namespace nibble
