// Which kernel tables this build has and which of them this CPU runs. Everything here is compiled
// for the baseline CPU; nothing is decided before somebody asks.
#include <cstring>

#include "quant/kernels/tables.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace nibble {
namespace {

// Best first; a new instruction set is one more row.
constexpr const KernelTable* kTables[] = {
#if defined(NIBBLE_ISA_AMX)
    &kernels_amx,
#endif
#if defined(NIBBLE_ISA_AVX512)
    &kernels_avx512,
#endif
#if defined(NIBBLE_ISA_AVXVNNI)
    &kernels_avxvnni,
#endif
#if defined(NIBBLE_ISA_AVX2)
    &kernels_avx2,
#endif
#if defined(NIBBLE_ISA_SSE)
    &kernels_sse,
#endif
#if defined(NIBBLE_ISA_I8MM)
    &kernels_i8mm,
#endif
#if defined(NIBBLE_ISA_DOTPROD)
    &kernels_dotprod,
#endif
#if defined(NIBBLE_ISA_NEON)
    &kernels_neon,
#endif
    &kernels_baseline, &kernels_reference,
};
constexpr int kTableCount = static_cast<int>(sizeof(kTables) / sizeof(kTables[0]));

#if defined(__x86_64__)
// Bits of XCR0, the registers whose state the system saves: XMM and YMM; those and what AVX-512
// adds; those and AMX's tiles.
constexpr uint64_t kYmmState = 0x6;
constexpr uint64_t kZmmState = 0xe6;
constexpr uint64_t kTileState = 0x600e6;

bool system_saves(uint64_t state) noexcept {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (((static_cast<uint64_t>(high) << 32) | low) & state) == state;
}

struct Cpuid {
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
  Cpuid(uint32_t leaf, uint32_t subleaf) {
    if (__get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx) == 0) *this = Cpuid();
  }

 private:
  Cpuid() = default;
};

constexpr bool has(uint32_t word, uint32_t bits) {
  return (word & bits) == bits;
}

constexpr uint32_t kLeaf7Avx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
constexpr uint32_t kLeaf7EcxVnni = 1 << 11;           // AVX512_VNNI
constexpr uint32_t kLeaf7EdxAmx = 1 << 24 | 1 << 25;  // AMX-TILE, AMX-INT8
constexpr uint32_t kLeaf7Eax1AvxVnni = 1 << 4;        // AVX-VNNI, subleaf 1
#endif

}  // namespace

bool cpu_runs_anything() noexcept {
  return true;
}

#if defined(__x86_64__)
bool cpu_runs_sse() noexcept {
  return has(Cpuid(1, 0).ecx, bit_SSSE3 | bit_SSE4_1);
}

bool cpu_runs_avx2() noexcept {
  return has(Cpuid(1, 0).ecx, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C) &&
         system_saves(kYmmState) && has(Cpuid(7, 0).ebx, bit_AVX2);
}

bool cpu_runs_avxvnni() noexcept {
  return cpu_runs_avx2() && has(Cpuid(7, 1).eax, kLeaf7Eax1AvxVnni);
}

bool cpu_runs_avx512() noexcept {
  return cpu_runs_avx2() && system_saves(kZmmState) && has(Cpuid(7, 0).ebx, kLeaf7Avx512) &&
         has(Cpuid(7, 0).ecx, kLeaf7EcxVnni);
}

bool cpu_runs_amx() noexcept {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return cpu_runs_avx512() && system_saves(kTileState) && has(Cpuid(7, 0).edx, kLeaf7EdxAmx) &&
         ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#elif defined(__aarch64__)
bool cpu_runs_neon() noexcept {
  return (::getauxval(AT_HWCAP) & HWCAP_ASIMD) != 0;
}

bool cpu_runs_dotprod() noexcept {
  return cpu_runs_neon() && (::getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}

bool cpu_runs_i8mm() noexcept {
  return cpu_runs_dotprod() && (::getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
}
#endif

const KernelTable* const* all_kernels(int* count) noexcept {
  *count = kTableCount;
  return kTables;
}

const KernelTable* best_kernels() noexcept {
  for (const KernelTable* table : kTables) {
    if (table->proof != Proof::none && table->supported()) return table;
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
