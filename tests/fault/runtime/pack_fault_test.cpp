// Packing and unpacking a file under every failure of the system: the old file stays
// byte-identical, nothing is left in the folder, and the error names path and cause.
#include <cerrno>
#include <cstring>

#include "formats/io/error.h"
#include "quant/dtype.h"
#include "runtime/convert/pack_file.h"
#include "tests/fault/faults.h"
#include "tests/support/catch.h"
#include "tests/support/packed_toys.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;
using faults::Call;
using faults::Plan;
using Names = std::set<std::string>;

namespace {

constexpr const char* kIn = "in.gguf";
constexpr const char* kOut = "out.gguf";

struct Writer {
  const char* name;
  PackFileResult (*convert)(const TensorFile&, const std::string&, const PackFileOptions&);
  std::string in;
  std::string out;

  void write(const test::TempDir& dir) const {
    PackFileOptions options;
    options.n_threads = 1;  // faults are for one thread at a time
    convert(open_tensor_file(dir / kIn), dir / kOut, options);
  }
  void prepare(const test::TempDir& dir) const {
    test::write_file(dir / kIn, in);
    test::write_file(dir / kOut, "the old file");
  }
};

std::vector<Writer> writers() {
  const std::string plain = test::quantized_toy([](std::string_view) { return DType::Q4_0; });
  const test::TempDir dir;
  test::write_file(dir / "plain.gguf", plain);
  pack_file(open_tensor_file(dir / "plain.gguf"), dir / "packed.gguf");
  const std::string packed = test::read_file(dir / "packed.gguf");
  return {{"pack", pack_file, plain, packed}, {"unpack", unpack_file, packed, plain}};
}

// All old with an error that names path and cause, or all new. Returns whether the plan struck.
bool check_outcome(const Writer& writer, const Plan& plan) {
  INFO(writer.name << ": " << faults::name(plan.call) << " number " << plan.nth << ": "
                   << std::strerror(plan.error));
  const test::TempDir dir;
  writer.prepare(dir);
  std::string message;
  bool struck = false;
  {
    const faults::Armed armed(plan);
    try {
      writer.write(dir);
    } catch (const Error& error) {
      message = error.message();
    }
    struck = armed.struck();
  }
  CHECK(dir.names() == Names{kIn, kOut});
  CHECK(test::read_file(dir / kIn) == writer.in);
  const bool is_new =
      message.empty() || message.find("the new file is in place") != std::string::npos;
  CHECK(test::read_file(dir / kOut) == (is_new ? writer.out : "the old file"));
  if (!message.empty()) {
    CHECK(struck);
    CHECK_THAT(message, Contains(std::strerror(plan.error)) && Contains(dir.path()));
  }
  return struck;
}

}  // namespace

TEST_CASE("each system call of packing and unpacking fails") {
  for (const Writer& writer : writers()) {
    for (const Call call :
         {Call::open, Call::openat, Call::write, Call::fsync, Call::ftruncate, Call::fallocate,
          Call::fchmod, Call::fcntl, Call::renameat, Call::close, Call::mmap, Call::fstat}) {
      int nth = 1;
      while (check_outcome(writer, {call, nth, false, ENOSPC, false})) {
        ++nth;
        REQUIRE(nth < 1000);
      }
      INFO(writer.name << " " << faults::name(call));
      CHECK(nth > 1);
    }
  }
}

TEST_CASE("allocations of packing and unpacking fail") {
  for (const Writer& writer : writers()) {
    bool struck = true;
    int failures = 0;
    // Opening a model makes some hundred allocations; after the first, every seventh is enough.
    for (long nth = 1; struck; nth += 7) {
      const test::TempDir dir;
      writer.prepare(dir);
      bool failed = false;
      {
        const faults::NoMemory armed(nth, false);
        try {
          writer.write(dir);
        } catch (const std::bad_alloc&) {
          failed = true;
        } catch (const Error& error) {
          failed = error.code() == ErrorCode::out_of_memory;
        }
        struck = armed.struck();
      }
      CHECK(failed == struck);
      failures += failed ? 1 : 0;
      CHECK(test::read_file(dir / kOut) == (failed ? "the old file" : writer.out));
      CHECK(dir.names() == Names{kIn, kOut});
    }
    CHECK(failures > 10);
  }
}

TEST_CASE("space for the whole new file is asked for before anything is written") {
  for (const Writer& writer : writers()) {
    const test::TempDir dir;
    writer.prepare(dir);
    const faults::Armed armed({Call::fallocate, 1, false, ENOSPC, false});
    try {
      writer.write(dir);
      FAIL("written");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::io);
      CHECK_THAT(error.message(),
                 Contains("cannot reserve " + std::to_string(writer.out.size()) + " bytes"));
    }
    for (const std::string& call : armed.trace()) CHECK(call != "write");
  }
}
