// The table of architectures. A new one is a file in arch/ and a row here.
#include <fmt/format.h>

#include "runtime/model/arch.h"

namespace nibble {

extern const Arch arch_bert;
extern const Arch arch_bloom;
extern const Arch arch_command_r;
extern const Arch arch_deepseek2;
extern const Arch arch_falcon;
extern const Arch arch_gemma;
extern const Arch arch_gemma2;
extern const Arch arch_gemma3;
extern const Arch arch_gpt2;
extern const Arch arch_gptj;
extern const Arch arch_gpt_oss;
extern const Arch arch_gptneox;
extern const Arch arch_granite;
extern const Arch arch_llama;
extern const Arch arch_mpt;
extern const Arch arch_nomic_bert;
extern const Arch arch_olmo2;
extern const Arch arch_phi2;
extern const Arch arch_phi3;
extern const Arch arch_qwen2;
extern const Arch arch_qwen2moe;
extern const Arch arch_qwen3;
extern const Arch arch_qwen3moe;
extern const Arch arch_smollm3;
extern const Arch arch_stablelm;
extern const Arch arch_starcoder2;
extern const Arch arch_xglm;

namespace {
constexpr const Arch* kArchs[] = {
    &arch_llama,     &arch_gpt2,       &arch_gptj,     &arch_gptneox,    &arch_bloom,
    &arch_mpt,       &arch_falcon,     &arch_phi2,     &arch_phi3,       &arch_qwen2,
    &arch_qwen2moe,  &arch_qwen3,      &arch_qwen3moe, &arch_gemma,      &arch_gemma2,
    &arch_gemma3,    &arch_starcoder2, &arch_stablelm, &arch_olmo2,      &arch_granite,
    &arch_command_r, &arch_smollm3,    &arch_bert,     &arch_nomic_bert, &arch_deepseek2,
    &arch_xglm,      &arch_gpt_oss,
};
}  // namespace

std::span<const Arch* const> all_archs() noexcept {
  return kArchs;
}

std::string layer_name(std::string_view pattern, int64_t layer) {
  const size_t at = pattern.find("{}");
  std::string name(pattern.substr(0, at));
  name += fmt::format("{}", layer);
  name += pattern.substr(at + 2);
  return name;
}

const Arch* find_arch(std::string_view name) noexcept {
  for (const Arch* arch : kArchs) {
    if (arch->name == name) return arch;
  }
  return nullptr;
}

}  // namespace nibble
