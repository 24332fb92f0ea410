// Which kernel tables this build has and which of them this CPU runs. Everything here is compiled
// for the baseline CPU; nothing is decided before somebody asks.
#include <cstring>

#include "quant/kernels/tables.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace nibble {
namespace {

// Best first; a new instruction set is one more row.
constexpr const KernelTable* kTables[] = {
#if defined(NIBBLE_ISA_AVX2)
    &kernels_avx2,
#endif
    &kernels_baseline,
    &kernels_reference,
};
constexpr int kTableCount = static_cast<int>(sizeof(kTables) / sizeof(kTables[0]));

#if defined(__x86_64__)
// Bits of XCR0: the system saves XMM (1) and YMM (2) state.
constexpr uint64_t kXmmYmmState = 0x6;

uint64_t read_xcr0() noexcept {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}
#endif

}  // namespace

bool cpu_runs_anything() noexcept {
  return true;
}

bool cpu_runs_avx2() noexcept {
#if defined(__x86_64__)
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr uint32_t kLeaf1 = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
  if ((ecx & kLeaf1) != kLeaf1) return false;
  if ((read_xcr0() & kXmmYmmState) != kXmmYmmState) return false;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (ebx & bit_AVX2) != 0;
#else
  return false;
#endif
}

const KernelTable* const* all_kernels(int* count) noexcept {
  *count = kTableCount;
  return kTables;
}

const KernelTable* best_kernels() noexcept {
  for (const KernelTable* table : kTables) {
    if (table->supported()) return table;
  }
  return &kernels_reference;
}

const KernelTable* kernels_named(const char* name) noexcept {
  for (const KernelTable* table : kTables) {
    if (std::strcmp(table->name, name) == 0) return table;
  }
  return nullptr;
}

}  // namespace nibble
