#pragma once
// A model of another format on its way to GGUF: metadata, and for each tensor where its rows come
// from, what happens to them and which type they get. Made by import_hf.cpp and import_llama2c.cpp,
// written by write_plan(), a piece of a tensor at a time.
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "runtime/convert/convert.h"
#include "runtime/convert/weight_rows.h"
#include "runtime/model/hf_names.h"

namespace nibble {

struct ImportedTensor {
  std::string name;  // in GGUF
  WeightRows rows;
  HfTransform transform = HfTransform::none;
  int64_t heads = 1;     // of rope_rows; of qkv_groups the queries'
  int64_t kv_heads = 1;  // of qkv_groups
  bool inverse = false;  // the transform is undone
  DType type = DType::F32;
  bool stays_float = false;  // F32 whatever type is asked for
};

struct ImportPlan {
  GgufHeader header;  // metadata only, until finish_plan()
  std::vector<ImportedTensor> tensors;
  std::vector<std::string> notes;
  std::vector<std::string> inputs;          // files that must stay
  std::shared_ptr<const void> owner;        // what the rows are views into
  std::function<void()> require_unchanged;  // throws io if an input was written to or truncated
};

/// Plans the conversion of a Hugging Face folder. Errors: see convert_model().
ImportPlan plan_hf(const std::string& path);

/// Plans the conversion of a llama2.c checkpoint. tokenizer: its tokenizer.bin.
ImportPlan plan_llama2c(const std::string& path, const std::string& tokenizer);

/// Sets the types of the tensors, general.file_type and the tensor table. Vectors become F32.
/// Errors: bad_argument (a type that cannot be written), unsupported (a checkpoint that is already
/// quantized, without allow_requantize).
void finish_plan(ImportPlan& plan, std::optional<DType> type, bool allow_requantize);

/// Fills n_tensors and types.
void count_types(std::span<const ImportedTensor> tensors, ConvertResult& result);

/// Errors: io, bad_file (a number that is not finite, with tensor and row), cancelled.
ConvertResult write_plan(const ImportPlan& plan, const std::string& out,
                         const ConvertOptions& options);

/// GGUF to safetensors: names and order of Hugging Face where the architecture's row says them,
/// quantized matrices as F16 or options.type. Errors: as convert_model().
ConvertResult export_safetensors(const std::string& in, const std::string& out,
                                 const ConvertOptions& options);

}  // namespace nibble
