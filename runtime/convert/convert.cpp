// What a path holds, and which plan it gets.
#include "runtime/convert/convert.h"

#include <filesystem>

#include "formats/archive.h"
#include "formats/hf_folder.h"
#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "runtime/convert/import_plan.h"

namespace nibble {
namespace {

enum class Kind { hf, gguf, llama2c };

Kind kind_of(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return Kind::hf;
  const MappedFile file(path);
  const std::span<const std::byte> bytes = file.bytes();
  refuse_pickle(path, bytes);
  const std::string_view head = as_text(bytes.first(std::min<size_t>(bytes.size(), 9)));
  // An archive holds a GGUF file, or its reader says what is wrong.
  if (head.starts_with("GGUF") || probe_archive(bytes)) return Kind::gguf;
  if (head.size() == 9 && head[8] == '{') return Kind::hf;
  if (path.ends_with(".safetensors")) return Kind::hf;  // its reader says what is wrong
  return Kind::llama2c;
}

}  // namespace

ConvertResult convert_model(const std::string& in, const std::string& out,
                            const ConvertOptions& options) {
  const Kind kind = kind_of(in);
  if (kind == Kind::gguf) return export_safetensors(in, out, options);
  ImportPlan plan = kind == Kind::hf ? plan_hf(in) : plan_llama2c(in, options.tokenizer);
  finish_plan(plan, options.type, options.allow_requantize);
  return write_plan(plan, out, options);
}

}  // namespace nibble
