// Declarations of the shared options: names, help, range, in one place each.
#include "tools/options.h"

#include <fmt/format.h>

#include <limits>

#include "tools/command_line.h"
#include "tools/control_filter.h"
#include "tools/exit_code.h"
#include "tools/suggest.h"
#include "tools/values.h"

namespace nibble {
namespace {

using Text = std::string_view;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMaxContext = int64_t{1} << 30;
constexpr int64_t kMaxBatch = int64_t{1} << 16;

std::string kernel_names() {
  std::string names;
  int count = 0;
  const KernelTable* const* tables = all_kernels(&count);
  for (int i = 0; i < count; ++i) {
    if (!names.empty()) names += ", ";
    names += tables[i]->name;
    if (tables[i]->proof == Proof::none) names += " (never run on silicon)";
  }
  return names;
}

std::string checked_isa(Text flag, Text name) {
  const KernelTable* table = kernels_named(std::string(name).c_str());
  if (table == nullptr) {
    usage_error(fmt::format("{}: no kernels named '{}'", flag, name),
                fmt::format("known: {}", kernel_names()));
  }
  if (!table->supported()) {
    usage_error(fmt::format("{}: this CPU cannot run the {} kernels", flag, name),
                "leave the option out to get the best this CPU has");
  }
  return std::string(name);
}

std::vector<std::string> sampler_list(Text flag, Text text) {
  std::vector<std::string> known;
  for (const Text name : sampler_stage_names()) known.emplace_back(name);
  std::vector<std::string> stages = split_commas(text);
  for (const std::string& stage : stages) {
    if (std::find(known.begin(), known.end(), stage) != known.end()) continue;
    const std::string near = nearest(stage, known);
    usage_error(fmt::format("{}: no sampler stage named '{}'", flag, stage),
                near.empty() ? fmt::format("known: {}", fmt::join(known, ","))
                             : fmt::format("did you mean {}?", near));
  }
  return stages;
}

std::function<void(Text, Text)> set_float(std::optional<float>* out, double low, double high) {
  return [=](Text flag, Text text) { *out = float_value(flag, text, low, high); };
}

}  // namespace

void add_model_options(CommandLine& line, ModelOptions* out, bool every_isa) {
  line.add({"-m,--model", "MODEL", "model file, or a name in the model folder", OptionGroup::model,
            [=](Text, Text text) { out->model = text; }});
  line.add({"--isa", "NAME",
            fmt::format("kernels to use, default the best for this CPU: {}{}", kernel_names(),
                        every_isa ? ", or all with --kernels" : ""),
            OptionGroup::advanced, [=](Text flag, Text text) {
              out->isa =
                  every_isa && text == kEveryIsa ? std::string(text) : checked_isa(flag, text);
            }});
  line.add({"-nr,--no-repack", "",
            "read the weights as the file has them: opens sooner, runs slower",
            OptionGroup::advanced, [=](Text, Text) { out->repack = false; }});
}

void add_context_options(CommandLine& line, ContextOptions* out) {
  line.add({"-c,--ctx-size", "N",
            "context size in tokens (32k is 32768), default 0: the model's own, as memory allows",
            OptionGroup::model, [=](Text flag, Text text) {
              out->n_ctx = int_value(flag, text, 0, kMaxContext, true);
            }});
  add_threads_option(line, &out->n_threads);
  line.add({"-b,--batch-size", "N", "tokens of a prompt taken at once, default 2048",
            OptionGroup::performance, [=](Text flag, Text text) {
              out->n_batch = int_value(flag, text, 1, kMaxBatch, true);
            }});
  line.add({"-ub,--ubatch-size", "N",
            "rows of one pass through the model, default 512; the smaller of -b and -ub counts",
            OptionGroup::performance, [=](Text flag, Text text) {
              out->n_ubatch = int_value(flag, text, 1, kMaxBatch, true);
            }});
  line.add({"-ctk,--cache-type-k", "TYPE",
            "type of the cache, f16, f32, q8 or q4; default q8, with --isa reference f32",
            OptionGroup::advanced,
            [=](Text flag, Text text) { out->type_k = kv_type_value(flag, text); }});
  line.add({"-ctv,--cache-type-v", "TYPE", "the same; keys and values share one type",
            OptionGroup::advanced,
            [=](Text flag, Text text) { out->type_v = kv_type_value(flag, text); }});
}

void add_threads_option(CommandLine& line, int* n_threads) {
  line.add({"-t,--threads", "N", "threads, default 0: what suits the machine",
            OptionGroup::performance, [=](Text flag, Text text) {
              *n_threads = static_cast<int>(int_value(flag, text, 0, 1024));
            }});
}

void add_sampling_options(CommandLine& line, SamplingOptions* out) {
  const OptionGroup group = OptionGroup::sampling;
  const SamplerOptions built_in;
  line.add({"-s,--seed", "N", "seed, default -1: a random one", group,
            [=](Text flag, Text text) { out->seed = int_value(flag, text, -1, kMax); }});
  line.add({"--temp,--temperature", "T", "temperature, 0 is greedy, default 0.8", group,
            set_float(&out->temperature, 0, 100)});
  line.add({"--top-k", "N", "keep the N likeliest tokens, 0 is off, default 40", group,
            [=](Text flag, Text text) {
              out->top_k = static_cast<int32_t>(
                  int_value(flag, text, 0, std::numeric_limits<int32_t>::max()));
            }});
  line.add({"--top-p", "P", "keep the likeliest tokens that sum to P, 1 is off, default 0.95",
            group, set_float(&out->top_p, 0, 1)});
  line.add({"--min-p", "P", "drop tokens below P times the likeliest, 0 is off, default 0.05",
            group, set_float(&out->min_p, 0, 1)});
  line.add({"--typical", "P", "locally typical sampling, 1 is off, default 1", group,
            set_float(&out->typical_p, 0, 1)});
  line.add({"--repeat-penalty", "X",
            "penalty for tokens that occurred, more than 0, 1 is off, default 1", group,
            set_float(&out->repeat_penalty, kAboveZero, 100)});
  line.add({"--repeat-last-n", "N", "tokens the penalties look back on, -1 is all, default 64",
            group, [=](Text flag, Text text) {
              out->repeat_last_n = static_cast<int32_t>(
                  int_value(flag, text, -1, std::numeric_limits<int32_t>::max()));
            }});
  line.add({"--presence-penalty", "X", "subtracted once from tokens that occurred, default 0",
            group, set_float(&out->presence_penalty, -100, 100)});
  line.add({"--frequency-penalty", "X", "subtracted per occurrence, default 0", group,
            set_float(&out->frequency_penalty, -100, 100)});
  line.add({"--logit-bias", "ID+BIAS",
            "add BIAS to a token's logit (ID-BIAS subtracts); repeatable", group,
            [=](Text flag, Text text) { out->logit_bias.push_back(logit_bias_value(flag, text)); },
            true});
  line.add({"--samplers", "LIST",
            fmt::format("stages in their order, default {}", fmt::join(built_in.stages, ",")),
            group, [=](Text flag, Text text) { out->stages = sampler_list(flag, text); }});
}

void add_prompt_options(CommandLine& line, PromptOptions* out) {
  line.add({"-p,--prompt", "TEXT", "the prompt", OptionGroup::prompt,
            [=](Text, Text text) { out->text = std::string(text); }});
  line.add({"-f,--file", "FILE", "file with the prompt", OptionGroup::prompt,
            [=](Text, Text text) { out->file = std::string(text); }});
}

void add_generation_options(CommandLine& line, GenerationOptions* out) {
  line.add({"-n,--predict", "N", "tokens of an answer at most, default -1: until it ends",
            OptionGroup::prompt,
            [=](Text flag, Text text) { out->n_predict = int_value(flag, text, -1, kMax); }});
  line.add({"--stop", "TEXT", "end the answer before this text; repeatable", OptionGroup::prompt,
            [=](Text flag, Text text) {
              if (text.empty()) usage_error(fmt::format("{}: expected some text", flag));
              out->stop.emplace_back(text);
            },
            true});
  line.add({"-v,--verbose", "", "print figures after an answer", OptionGroup::output,
            [=](Text, Text) { out->verbose = true; }});
}

void add_chat_options(CommandLine& line, ChatOptionsGroup* out) {
  line.add({"-sys,--system-prompt", "TEXT", "system prompt", OptionGroup::chat,
            [=](Text, Text text) { out->system = text; }});
  line.add({"--raw", "", "complete text, without the model's chat template", OptionGroup::chat,
            [=](Text, Text) { out->raw = true; }});
  line.add({"--overflow", "POLICY",
            "a conversation that outgrows the context: drop oldest turns (default) or error",
            OptionGroup::chat, [=](Text flag, Text text) {
              if (text != "drop" && text != "error") {
                usage_error(fmt::format("{}: expected drop or error, got '{}'", flag, text));
              }
              out->conversation.overflow =
                  text == "drop" ? OverflowPolicy::drop : OverflowPolicy::error;
            }});
  line.add({"--reserve", "N",
            "tokens kept free for the answer, default a quarter of the context, at most 1024",
            OptionGroup::chat, [=](Text flag, Text text) {
              out->conversation.reserve = int_value(flag, text, 1, kMaxContext, true);
            }});
}

SamplerOptions sampler_options(const SamplingOptions& flags, const SamplerOptions& file) {
  SamplerOptions out = file;
  if (flags.temperature) out.temperature = *flags.temperature;
  if (flags.top_k) out.top_k = *flags.top_k;
  if (flags.top_p) out.top_p = *flags.top_p;
  if (flags.min_p) out.min_p = *flags.min_p;
  if (flags.typical_p) out.typical_p = *flags.typical_p;
  if (flags.repeat_last_n) out.repeat_last_n = *flags.repeat_last_n;
  if (flags.repeat_penalty) out.repeat_penalty = *flags.repeat_penalty;
  if (flags.presence_penalty) out.presence_penalty = *flags.presence_penalty;
  if (flags.frequency_penalty) out.frequency_penalty = *flags.frequency_penalty;
  if (!flags.logit_bias.empty()) out.logit_bias = flags.logit_bias;
  if (!flags.stages.empty()) out.stages = flags.stages;
  if (flags.seed) {
    out.random_seed = *flags.seed < 0;
    out.seed = out.random_seed ? 0 : static_cast<uint64_t>(*flags.seed);
  }
  return out;
}

std::string ignored_sampling_note(const SamplerOptions& file) {
  if (file.ignored.empty()) return {};
  return one_line(fmt::format("note: the model file asks for sampling that is not supported: {}",
                              fmt::join(file.ignored, ", ")));
}

SessionOptions session_options(const ContextOptions& flags) {
  SessionOptions out;
  out.n_ctx = flags.n_ctx;
  out.n_batch = std::min(flags.n_batch, flags.n_ubatch);
  out.n_threads = flags.n_threads;
  if (flags.type_k && flags.type_v && flags.type_k != flags.type_v) {
    usage_error("-ctk and -ctv: expected the same type for keys and values",
                "give one of them; it counts for both");
  }
  out.kv_type = flags.type_k ? flags.type_k : flags.type_v;
  return out;
}

}  // namespace nibble
