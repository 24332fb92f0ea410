// A file that nibble cannot run is still described: what the container says comes first, what the
// engine says about it is added when it opens.
#include "runtime/engine/inspection.h"

#include <fmt/format.h>

#include <cstring>
#include <map>

#include "formats/io/error.h"
#include "formats/io/parse_number.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/quality_card.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

const char* meta_type_name(MetaType type) {
  constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                    "bool", "string", "array", "u64", "i64", "f64"};
  const auto i = static_cast<size_t>(type);
  return i < std::size(kNames) ? kNames[i] : "?";
}

size_t meta_type_bytes(MetaType type) {
  switch (type) {
    case MetaType::u8:
    case MetaType::i8:
    case MetaType::boolean:
      return 1;
    case MetaType::u16:
    case MetaType::i16:
      return 2;
    case MetaType::u32:
    case MetaType::i32:
    case MetaType::f32:
      return 4;
    case MetaType::u64:
    case MetaType::i64:
    case MetaType::f64:
      return 8;
    case MetaType::string:
    case MetaType::array:
      break;
  }
  return 0;
}

/// A number from its little-endian bytes, which are zero- or sign-extended in `bits`.
Json number(MetaType type, uint64_t bits) {
  switch (type) {
    case MetaType::boolean:
      return bits != 0;
    case MetaType::i8:
      return static_cast<int8_t>(bits);
    case MetaType::i16:
      return static_cast<int16_t>(bits);
    case MetaType::i32:
      return static_cast<int32_t>(bits);
    case MetaType::i64:
      return static_cast<int64_t>(bits);
    case MetaType::f32: {
      const auto low = static_cast<uint32_t>(bits);
      float value = 0;
      std::memcpy(&value, &low, sizeof value);
      // The shortest decimal that is this float; JSON would print it as a double.
      const std::string shortest = fmt::format("{}", value);
      const std::optional<double> same = parse_float(shortest);
      return same ? Json(*same) : Json(shortest);
    }
    case MetaType::f64: {
      double value = 0;
      std::memcpy(&value, &bits, sizeof value);
      return value;
    }
    default:
      return bits;
  }
}

Json array_items(const MetaValue& value, size_t most) {
  Json items = Json::array();
  if (value.item_type == MetaType::string) {
    for (size_t i = 0; i < std::min(most, value.strings.size()); ++i) {
      items.push_back(std::string(value.strings[i]));
    }
    return items;
  }
  const size_t width = meta_type_bytes(value.item_type);
  if (width == 0) return items;
  for (size_t i = 0; i < std::min(most, value.items.size() / width); ++i) {
    uint64_t bits = 0;
    std::memcpy(&bits, value.items.data() + i * width, width);
    items.push_back(number(value.item_type, bits));
  }
  return items;
}

/// What the file says about its own loss; null where it says nothing.
Json quality_json(const Metadata& meta) {
  std::optional<QualityCard> card;
  try {
    card = read_card(meta);
  } catch (const Error&) {  // keys of other types: another program's
  }
  if (!card) return nullptr;
  const ModelComparison& m = card->measured;
  return {{"summary", comparison_line(m)},
          {"source", card->source},
          {"text", card->text_name},
          {"text_hash", card->text_hash},
          {"tokens", m.n_tokens},
          {"kl_divergence", m.divergence},
          {"kl_divergence_error", m.divergence_error},
          {"kl_divergence_most", m.divergence_most},
          {"same_top_token", m.same_top},
          {"perplexity", m.other_perplexity},
          {"source_perplexity", m.perplexity},
          {"tensor_errors", card->tensor_errors}};
}

Json metadata_json(const Metadata& meta, size_t most_items) {
  Json out = Json::array();
  for (const MetaValue& value : meta.all()) {
    Json row = {{"key", value.key}, {"type", meta_type_name(value.type)}};
    if (value.type == MetaType::array) {
      row["item_type"] = meta_type_name(value.item_type);
      row["count"] = value.count;
      row["value"] = array_items(value, most_items);
    } else if (value.type == MetaType::string) {
      row["value"] = std::string(value.text);
    } else {
      row["value"] = number(value.type, value.bits);
    }
    out.push_back(std::move(row));
  }
  return out;
}

std::string type_name(uint32_t id) {
  const char* name = dtype_ecosystem_name(id);
  return name != nullptr ? name : fmt::format("type {}", id);
}

Json tensors_json(const TensorFile& file) {
  Json out = Json::array();
  for (const TensorInfo& t : file.tensors()) {
    out.push_back({{"name", t.name},
                   {"type", type_name(t.type_id)},
                   {"shape", std::vector<int64_t>(t.shape, t.shape + t.n_dims)},
                   {"bytes", t.bytes},
                   {"offset", t.offset}});
  }
  return out;
}

Json types_json(const TensorFile& file) {
  std::map<std::string, std::pair<int64_t, uint64_t>> sums;
  for (const TensorInfo& t : file.tensors()) {
    auto& [count, bytes] = sums[type_name(t.type_id)];
    ++count;
    bytes += t.bytes;
  }
  Json out = Json::array();
  for (const auto& [name, sum] : sums) {
    out.push_back({{"type", name}, {"tensors", sum.first}, {"bytes", sum.second}});
  }
  return out;
}

Json text_or_null(const Metadata& meta, const char* key) {
  const MetaValue* value = meta.find(key);
  if (value == nullptr || value->type != MetaType::string) return nullptr;
  return std::string(value->text);
}

Json plan_json(const MemoryPlan& plan) {
  return {{"context", plan.n_ctx},
          {"weights", plan.weights},
          {"kv", plan.kv},
          {"kv_per_token", plan.kv_per_token},
          {"scratch", plan.scratch},
          {"total", plan.total()},
          {"available", plan.available},
          {"fits", plan.fits()}};
}

Json token_json(const Tokenizer& tokenizer, int32_t id) {
  if (id < 0) return nullptr;
  return {{"id", id}, {"text", std::string(tokenizer.token_text(id))}};
}

Json tokenizer_json(const Tokenizer& tokenizer) {
  Json ends = Json::array();
  for (const int32_t id : tokenizer.eog_ids()) ends.push_back(token_json(tokenizer, id));
  return {{"model", tokenizer.model()},
          {"pre", tokenizer.pre()},
          {"tokens", tokenizer.n_vocab()},
          {"bos", token_json(tokenizer, tokenizer.bos())},
          {"eos", token_json(tokenizer, tokenizer.eos())},
          {"adds_bos", tokenizer.adds_bos()},
          {"adds_eos", tokenizer.adds_eos()},
          {"ends_generation", std::move(ends)}};
}

Json template_json(const Engine& engine) {
  const ChatTemplate* chat = engine.chat_template();
  if (chat == nullptr && engine.template_problem().empty()) return nullptr;
  Json out = {{"usable", chat != nullptr}, {"problem", nullptr}, {"sample", nullptr}};
  if (chat == nullptr) {
    out["problem"] = engine.template_problem();
    return out;
  }
  const Tokenizer& tokenizer = engine.tokenizer();
  ChatOptions options;
  if (tokenizer.bos() >= 0) options.bos_token = tokenizer.token_text(tokenizer.bos());
  if (tokenizer.eos() >= 0) options.eos_token = tokenizer.token_text(tokenizer.eos());
  const ChatMessage message{"user", "Hello"};
  try {
    std::string sample;
    for (const PromptSegment& s : chat->render({&message, 1}, options)) sample += s.text;
    out["sample"] = sample;
  } catch (const Error& e) {
    out["problem"] = e.message();
  }
  return out;
}

}  // namespace

Json inspect_file(const TensorFile& file, const InspectOptions& how) {
  const Metadata& meta = file.meta();
  Json out = {{"file", file.path()},
              {"format", file.format()},
              {"version", file.version()},
              {"bytes", file.file_bytes().size()},
              {"name", text_or_null(meta, "general.name")},
              {"architecture", text_or_null(meta, "general.architecture")},
              {"parameters", nullptr},
              {"runs", false},
              {"problem", nullptr},
              {"types", types_json(file)},
              {"memory_plan", nullptr},
              {"tokenizer", nullptr},
              {"chat_template", nullptr},
              {"warnings", file.warnings()}};
  try {
    EngineOptions options;
    options.isa = how.isa;
    options.repack = false;
    options.page_in = false;
    const std::shared_ptr<const Engine> engine = Engine::open(file.path(), options);
    out["runs"] = true;
    out["parameters"] = engine->n_params();
    out["memory_plan"] = plan_json(
        engine->plan(how.n_ctx, how.n_batch, how.kv_type.value_or(engine->kernels().default_kv)));
    out["tokenizer"] = tokenizer_json(engine->tokenizer());
    out["chat_template"] = template_json(*engine);
    for (const std::string& key : engine->sampling().ignored) {
      out["warnings"].push_back(key + " is not supported and has no effect");
    }
  } catch (const Error& e) {
    out["problem"] = e.message();
  }
  out["quality"] = quality_json(meta);
  out["metadata"] = metadata_json(meta, how.most_items);
  out["tensors"] = tensors_json(file);
  return out;
}

}  // namespace nibble
