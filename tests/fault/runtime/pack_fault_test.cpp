// Packing and unpacking a file under every failure of the system: the old file stays
// byte-identical, nothing is left in the folder, and the error names path and cause.
#include "quant/dtype.h"
#include "runtime/convert/pack_file.h"
#include "tests/fault/outcome.h"
#include "tests/support/packed_toys.h"

using namespace nibble;
using Catch::Matchers::Contains;
using faults::Call;
using faults::kOut;
using faults::Writing;

namespace {

constexpr const char* kIn = "in.gguf";

using Convert = PackFileResult(const TensorFile&, const std::string&, const PackFileOptions&);

Writing writing(const char* name, Convert* convert, const std::string& in) {
  const auto write = [convert](const test::TempDir& dir) {
    PackFileOptions options;
    options.n_threads = 1;  // faults are for one thread at a time
    convert(open_tensor_file(dir / kIn), dir / kOut, options);
  };
  return {name, write, {{kIn, in}}};
}

std::vector<Writing> writings() {
  const std::string plain = test::quantized_toy([](std::string_view) { return DType::Q4_0; });
  const test::TempDir dir;
  test::write_file(dir / "plain.gguf", plain);
  pack_file(open_tensor_file(dir / "plain.gguf"), dir / "packed.gguf");
  const std::string packed = test::read_file(dir / "packed.gguf");
  return {writing("pack", pack_file, plain), writing("unpack", unpack_file, packed)};
}

}  // namespace

TEST_CASE("each system call of packing and unpacking fails, once and for ever") {
  for (const Writing& w : writings()) {
    faults::check_failures(
        w, {Call::open, Call::openat, Call::write, Call::fsync, Call::ftruncate, Call::fallocate,
            Call::fchmod, Call::fcntl, Call::renameat, Call::close, Call::mmap, Call::fstat});
  }
}

TEST_CASE("interrupted calls and short writes of packing and unpacking change nothing") {
  for (const Writing& w : writings()) faults::check_interruptions(w);
}

TEST_CASE("allocations of packing and unpacking fail") {
  for (const Writing& w : writings()) {
    const std::string fresh = w.undisturbed();
    bool struck = true;
    int failures = 0;
    // Opening a model makes some hundred allocations; after the first, every seventh is enough.
    for (long nth = 1; struck; nth += 7) {
      const test::TempDir dir;
      w.prepare(dir);
      bool failed = false;
      {
        const faults::NoMemory armed(nth, false);
        try {
          w.write(dir);
        } catch (const std::bad_alloc&) {
          failed = true;
        } catch (const Error& error) {
          failed = error.code() == ErrorCode::out_of_memory;
        }
        struck = armed.struck();
      }
      CHECK(failed == struck);
      failures += failed ? 1 : 0;
      CHECK(test::read_file(dir / kOut) == (failed ? faults::kOld : fresh));
      w.check_folder(dir);
    }
    CHECK(failures > 10);
  }
}

TEST_CASE("space for the whole new file is asked for before anything is written") {
  for (const Writing& w : writings()) {
    const std::string fresh = w.undisturbed();
    const test::TempDir dir;
    w.prepare(dir);
    const faults::Armed armed({Call::fallocate, 1, false, ENOSPC, false});
    try {
      w.write(dir);
      FAIL("written");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::io);
      CHECK_THAT(error.message(),
                 Contains("cannot reserve " + std::to_string(fresh.size()) + " bytes"));
    }
    for (const std::string& call : armed.trace()) CHECK(call != "write");
  }
}
