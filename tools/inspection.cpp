#include "tools/inspection.h"

#include <fmt/format.h>

#include "tools/quote_text.h"
#include "tools/stats.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

std::string scalar_text(const Json& value) {
  if (!value.is_string()) return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string text = value.get<std::string>();
  constexpr size_t kMost = 200;
  if (text.size() <= kMost) return quote_text(text);
  return quote_text(std::string_view(text).substr(0, kMost)) +
         fmt::format(" ... ({} bytes)", text.size());
}

std::string metadata_line(const Json& row) {
  const std::string key = quote_text(row["key"].get<std::string>());
  std::string text;
  if (row["type"] == "array") {
    std::string items;
    for (const Json& item : row["value"]) {
      if (!items.empty()) items += ", ";
      items += scalar_text(item);
      if (items.size() > 80) break;
    }
    text = fmt::format("{}[{}] = {} ...", row["item_type"].get<std::string>(),
                       row["count"].get<uint64_t>(), items);
  } else {
    text = fmt::format("{} = {}", row["type"].get<std::string>(), scalar_text(row["value"]));
  }
  return fmt::format("  {} {}\n", key.substr(1, key.size() - 2), text);
}

std::string bytes_of(const Json& value) {
  return format_bytes(value.get<int64_t>());
}

std::string field(const char* name, const std::string& value) {
  return fmt::format("{:<16}{}\n", name, value);
}

std::string token_text(const Json& token) {
  if (token.is_null()) return "none";
  return fmt::format("{} {}", token["id"].get<int64_t>(),
                     quote_text(token["text"].get<std::string>()));
}

std::string engine_text(const Json& j) {
  std::string out;
  const Json& plan = j["memory_plan"];
  if (!plan.is_null()) {
    out += field("memory", fmt::format("weights {} + cache {} + scratch {} = {} for {} tokens of "
                                       "context",
                                       bytes_of(plan["weights"]), bytes_of(plan["kv"]),
                                       bytes_of(plan["scratch"]), bytes_of(plan["total"]),
                                       plan["context"].get<int64_t>()));
    out += field("", fmt::format("{} a token of context, {} available: {}",
                                 bytes_of(plan["kv_per_token"]), bytes_of(plan["available"]),
                                 plan["fits"].get<bool>() ? "fits" : "does not fit"));
  }
  const Json& t = j["tokenizer"];
  if (!t.is_null()) {
    out += field("tokenizer",
                 fmt::format("{} {}, {} tokens, adds bos: {}", t["model"].get<std::string>(),
                             t["pre"].get<std::string>(), t["tokens"].get<int64_t>(),
                             t["adds_bos"].get<bool>() ? "yes" : "no"));
    out += field("", fmt::format("bos {}, eos {}", token_text(t["bos"]), token_text(t["eos"])));
    for (const Json& id : t["ends_generation"]) {
      out += field("", fmt::format("ends an answer: {}", token_text(id)));
    }
  }
  const Json& c = j["chat_template"];
  if (c.is_null()) {
    out += field("chat template", "none: the model completes text");
  } else if (!c["problem"].is_null()) {
    out += field("chat template", "not usable: " + quote_text(c["problem"].get<std::string>()));
  } else {
    out += field("chat template", "Hello -> " + quote_text(c["sample"].get<std::string>()));
  }
  return out;
}

}  // namespace

std::string inspection_text(const Json& j) {
  const auto text_of = [](const Json& value) {
    return value.is_null() ? std::string("not given") : scalar_text(value);
  };
  std::string out;
  out += field("file", quote_text(j["file"].get<std::string>()));
  out += field("format", fmt::format("{} v{}, {}", j["format"].get<std::string>(),
                                     j["version"].get<int64_t>(), bytes_of(j["bytes"])));
  out += field("name", text_of(j["name"]));
  out += field("architecture", text_of(j["architecture"]));
  const bool runs = j["runs"].get<bool>();
  out += field("runs here", runs ? "yes" : "no: " + quote_text(j["problem"].get<std::string>()));
  if (runs) out += field("parameters", fmt::format("{}", j["parameters"].get<int64_t>()));
  for (const Json& type : j["types"]) {
    out += field("tensors", fmt::format("{:>5} {:<10} {:>9}", type["tensors"].get<int64_t>(),
                                        type["type"].get<std::string>(), bytes_of(type["bytes"])));
  }
  if (runs) out += engine_text(j);
  if (!j["quality"].is_null()) out += field("quality", j["quality"]["summary"].get<std::string>());
  for (const Json& warning : j["warnings"]) {
    out += field("warning", quote_text(warning.get<std::string>()));
  }
  out += fmt::format("\nMetadata ({}):\n", j["metadata"].size());
  for (const Json& row : j["metadata"]) out += metadata_line(row);
  out += fmt::format("\nTensors ({}):\n", j["tensors"].size());
  for (const Json& t : j["tensors"]) {
    const std::string name = quote_text(t["name"].get<std::string>());
    out += fmt::format("  {:<40} {:<10} {:<16} {:>10} at {}\n", name.substr(1, name.size() - 2),
                       t["type"].get<std::string>(), t["shape"].dump(), t["bytes"].get<uint64_t>(),
                       t["offset"].get<uint64_t>());
  }
  return out;
}

}  // namespace nibble
