#pragma once
// What there is to know about a model file, as JSON.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "formats/tensor_file.h"
#include "quant/kernels/kernels.h"

namespace nibble {

struct InspectOptions {
  std::string isa;                // kernel table by name; empty: the best this CPU has
  int64_t n_ctx = 0;              // of the memory plan; 0: the model's own, limited by memory
  int64_t n_batch = 512;          // likewise
  std::optional<KvType> kv_type;  // likewise; none: the kernel table's default
  size_t most_items = 16;         // of an array of the metadata; its length is always there
};

/// Keys: file, format, version, bytes, name, architecture, parameters, runs, problem, types,
/// memory_plan, tokenizer, chat_template, warnings, quality, metadata, tensors. Keys that do not
/// apply are null. Texts are the file's bytes, maybe no UTF-8.
nlohmann::ordered_json inspect_file(const TensorFile& file, const InspectOptions& how);

}  // namespace nibble
