// The table of architectures. A new one is a file in arch/ and a row here.
#include <fmt/format.h>

#include "runtime/model/arch.h"

namespace nibble {

extern const Arch arch_gemma3;
extern const Arch arch_llama;

namespace {
constexpr const Arch* kArchs[] = {
    &arch_llama,
    &arch_gemma3,
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
