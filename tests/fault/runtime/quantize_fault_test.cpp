// Quantizing a file under every failure of the system and killed at every write: the old file stays
// byte-identical, failures leave nothing in the folder, and what a killed process left is continued
// to the bytes of an undisturbed run.
#include <sys/wait.h>
#include <unistd.h>

#include "formats/io/error.h"
#include "runtime/convert/quantize_file.h"
#include "tests/fault/outcome.h"
#include "tests/support/packed_toys.h"

using namespace nibble;
using faults::Call;
using faults::kOld;
using faults::kOut;
using faults::Writing;
using Names = std::set<std::string>;

namespace {

constexpr const char* kIn = "in.gguf";

const std::string& source() {
  static const std::string bytes = test::quantized_toy([](std::string_view) { return DType::F32; });
  return bytes;
}

QuantizeResult quantize(const test::TempDir& dir, const char* type = "Q4_0") {
  const TensorFile in = open_tensor_file(dir / kIn);
  QuantizeChoices choices;
  choices.mix = find_mix(type);
  choices.pure = true;
  QuantizeFileOptions options;
  options.n_threads = 1;  // faults are for one thread at a time
  // As the card does: known only when the file is there.
  const QuantizePlan plan = [&] {
    QuantizePlan out = plan_quantize(in, choices);
    out.header.set("test.card", 0.0f);
    return out;
  }();
  options.finish_header = [](const std::string&, const std::vector<float>& errors,
                             GgufHeader& header) { header.set("test.card", errors[0]); };
  return quantize_file(in, dir / kOut, plan, options);
}

const Writing& writing() {
  static const Writing out{
      "quantize", [](const test::TempDir& dir) { quantize(dir); }, {{kIn, source()}}};
  return out;
}

void prepare(const test::TempDir& dir) {
  writing().prepare(dir);
}

const std::string& expected() {
  static const std::string bytes = writing().undisturbed();
  return bytes;
}

/// Quantizes in a process that is gone just before the nth call; false if it came to its end.
bool killed_before(const test::TempDir& dir, Call call, int nth) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const faults::Before gone(call, nth, [] { ::_exit(9); });
    try {
      quantize(dir);
    } catch (...) {
      ::_exit(2);
    }
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE((WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
  return WEXITSTATUS(status) == 9;
}

}  // namespace

TEST_CASE("each system call of quantizing fails, once and for ever") {
  faults::check_failures(writing(), {Call::open, Call::openat, Call::write, Call::fsync,
                                     Call::ftruncate, Call::fallocate, Call::fchmod, Call::fcntl,
                                     Call::renameat, Call::close, Call::mmap, Call::fstat});
}

TEST_CASE("interrupted calls and short writes of quantizing change nothing") {
  faults::check_interruptions(writing());
}

TEST_CASE("a quantizer killed before any call is continued to the same bytes") {
  int64_t most_resumed = 0;
  for (const Call call : {Call::write, Call::fsync, Call::ftruncate, Call::fallocate, Call::openat,
                          Call::renameat, Call::close, Call::fstat, Call::mmap}) {
    bool killed = true;
    for (int nth = 1; killed; ++nth) {
      INFO(faults::name(call) << " " << nth);
      const test::TempDir dir;
      prepare(dir);
      killed = killed_before(dir, call, nth);
      const std::string before = test::read_file(dir / kOut);
      CHECK((before == kOld || before == expected()));
      const QuantizeResult result = quantize(dir);
      most_resumed = std::max(most_resumed, result.n_resumed);
      CHECK(test::read_file(dir / kOut) == expected());
      CHECK(dir.names() == Names{kIn, kOut});
    }
  }
  CHECK(most_resumed == 11);  // all tensors: killed just before the file got its name
}

TEST_CASE("what was left is not continued with another type, another input, or damage") {
  const test::TempDir dir;
  const auto leave_half = [&] {
    prepare(dir);
    REQUIRE(killed_before(dir, Call::write, 12));
    REQUIRE(dir.names() == Names{kIn, kOut, "out.nibble-part", "out.nibble-journal"});
  };
  leave_half();
  CHECK(quantize(dir, "Q8_0").n_resumed == 0);
  leave_half();
  test::write_file(dir / kIn, source());  // the same bytes, written later
  CHECK(quantize(dir).n_resumed == 0);
  CHECK(test::read_file(dir / kOut) == expected());
  leave_half();
  std::string part = test::read_file(dir / "out.nibble-part");
  const QuantizeResult whole = quantize(dir);
  REQUIRE(whole.n_resumed > 2);
  leave_half();
  part[part.size() / 2] = static_cast<char>(part[part.size() / 2] ^ 1);
  test::write_file(dir / "out.nibble-part", part);
  CHECK(quantize(dir).n_resumed < whole.n_resumed);
  CHECK(test::read_file(dir / kOut) == expected());
  // A journal of any length that is cut or wrong is harmless.
  leave_half();
  const std::string journal = test::read_file(dir / "out.nibble-journal");
  const std::string left = test::read_file(dir / "out.nibble-part");
  for (size_t i = 0; i < journal.size(); i += 5) {
    for (const bool flip : {false, true}) {
      std::string bad = flip ? journal : journal.substr(0, i);
      if (flip) bad[i] = static_cast<char>(bad[i] ^ 0x10);
      test::write_file(dir / "out.nibble-journal", bad);
      test::write_file(dir / "out.nibble-part", left);
      quantize(dir);
      CHECK(test::read_file(dir / kOut) == expected());
      CHECK(dir.names() == Names{kIn, kOut});
    }
  }
}

TEST_CASE("a cancelled quantizer leaves what it did, and a full disk does not take it away") {
  const test::TempDir dir;
  prepare(dir);
  REQUIRE(killed_before(dir, Call::write, 12));
  {
    const faults::Armed armed({Call::fallocate, 1, true, ENOSPC, false});
    CHECK_THROWS_AS(quantize(dir), Error);
  }
  CHECK(quantize(dir).n_resumed > 2);
  CHECK(test::read_file(dir / kOut) == expected());
}
