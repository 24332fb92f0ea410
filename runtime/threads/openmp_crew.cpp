// The tree's only use of OpenMP. Process-wide OpenMP settings are never touched. libgomp may grant
// fewer threads than asked for (inside somebody else's region, under a limit): a region sees the
// smaller number from start to end.
#include "runtime/threads/crew.h"

#if NIBBLE_OPENMP
#include <omp.h>
#endif

namespace nibble {

#if NIBBLE_OPENMP

namespace {

class OpenMpCrew : public Crew {
 public:
  void run(int wanted, const Work& work) noexcept override {
#pragma omp parallel num_threads(wanted) default(none) shared(work)
    work(omp_get_thread_num(), omp_get_num_threads());
  }
};

}  // namespace

std::unique_ptr<Crew> make_openmp_crew() {
  return std::make_unique<OpenMpCrew>();
}

#else

std::unique_ptr<Crew> make_openmp_crew() {
  return nullptr;
}

#endif

}  // namespace nibble
