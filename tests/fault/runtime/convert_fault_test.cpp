// Converting under every failure of the system: the old file stays byte-identical, nothing is left
// in the folder, and the error names path and cause.
#include "runtime/convert/convert.h"
#include "tests/fault/outcome.h"
#include "tests/support/convert_fixtures.h"

using namespace nibble;
using faults::Call;
using faults::kOut;
using faults::Writing;

namespace {

void convert(const test::TempDir& dir) {
  ConvertOptions options;
  options.n_threads = 1;  // faults are for one thread at a time
  convert_model(test::convert_fixture("llama_scaled"), dir / kOut, options);
}

const Writing kConvert{"convert", convert, {}, "llama_scaled"};

}  // namespace

TEST_CASE("each system call of a conversion fails, once and for ever") {
  faults::check_failures(kConvert, {Call::open, Call::openat, Call::write, Call::fsync,
                                    Call::ftruncate, Call::fallocate, Call::fchmod, Call::fcntl,
                                    Call::renameat, Call::close, Call::mmap, Call::fstat});
}

TEST_CASE("interrupted calls and short writes of a conversion change nothing") {
  faults::check_interruptions(kConvert);
}

TEST_CASE("allocations of a conversion fail") {
  const std::string good = kConvert.undisturbed();
  bool struck = true;
  int failures = 0;
  // Planning makes some thousand allocations; every 23rd is enough.
  for (long nth = 1; struck; nth += 23) {
    const test::TempDir dir;
    kConvert.prepare(dir);
    bool failed = false;
    {
      const faults::NoMemory armed(nth, false);
      try {
        convert(dir);
      } catch (const std::bad_alloc&) {
        failed = true;
      } catch (const Error& error) {
        failed = error.code() == ErrorCode::out_of_memory;
      }
      struck = armed.struck();
    }
    CHECK(failed == struck);
    failures += failed ? 1 : 0;
    CHECK(test::read_file(dir / kOut) == (failed ? faults::kOld : good));
    kConvert.check_folder(dir);
  }
  CHECK(failures > 10);
}
