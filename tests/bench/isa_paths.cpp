// Which kernel tables this build has, which of them this CPU runs, where they have run before, and
// which is chosen unasked. What it prints is a column of tests/bench/results/isa_paths.md.
#include <cstdio>

#include "quant/kernels/kernels.h"

using namespace nibble;

int main() {
  int count = 0;
  const KernelTable* const* tables = all_kernels(&count);
  for (int i = 0; i < count; ++i) {
    const KernelTable& k = *tables[i];
    const char* proof = k.proof == Proof::silicon    ? "proven on silicon"
                        : k.proof == Proof::emulator ? "proven under an emulator"
                                                     : "not proven";
    std::printf("%-9s %-36s %-24s %s%s\n", k.name, k.description, proof,
                k.supported() ? "runs here" : "-", best_kernels() == &k ? ", chosen" : "");
  }
  return 0;
}
