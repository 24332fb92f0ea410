// The reader when the system or the memory fails, and how much memory it takes.
#include <cerrno>
#include <cstring>
#include <limits>

#include "formats/gguf.h"
#include "formats/io/error.h"
#include "tests/fault/faults.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_bytes.h"
#include "tests/support/temp_dir.h"
#include "tests/support/walk_tensor_file.h"

using namespace nibble;
using Catch::Matchers::Contains;
using faults::Call;
using test::GgufBytes;

TEST_CASE("each system call of opening fails with path and cause, and no descriptor stays open") {
  const test::TempDir dir;
  test::write_file(dir / "in.gguf", test::sample_gguf().bytes);
  for (const Call call : {Call::open, Call::fstat, Call::mmap}) {
    const faults::Armed armed({call, 1, false, EACCES, false});
    try {
      (void)open_tensor_file(dir / "in.gguf");
      FAIL("opened");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::io);
      CHECK_THAT(error.what(), Contains(dir / "in.gguf") && Contains(std::strerror(EACCES)));
      CHECK_FALSE(error.hint().empty());
    }
    long opened = 0;
    for (const std::string& name : armed.trace()) {
      opened += name == "open" && call != Call::open ? 1 : 0;
      opened -= name == "close" ? 1 : 0;
    }
    CHECK(opened == 0);
  }
  const faults::Armed interrupted({Call::open, 1, false, EINTR, false});
  CHECK_NOTHROW(open_tensor_file(dir / "in.gguf"));
}

TEST_CASE("each allocation of opening fails cleanly") {
  const GgufBytes sample = test::sample_gguf();
  const std::string name = "a name too long for the small string of the library.gguf";
  for (const bool sticky : {false, true}) {
    bool struck = true;
    for (long nth = 1; struck; ++nth) {
      bool failed = false;
      const faults::NoMemory armed(nth, sticky);
      try {
        (void)open_tensor_memory(sample.bytes, name);
      } catch (const std::bad_alloc&) {
        failed = true;
      }
      struck = armed.struck();
      CHECK(failed == struck);
    }
  }
}

namespace {

// Peak of the memory that opening takes, whether it succeeds or not.
size_t peak_of_opening(std::span<const std::byte> bytes) {
  const faults::PeakMemory peak;
  try {
    (void)open_tensor_memory(bytes, "m.gguf");
  } catch (const Error&) {
  }
  return peak.bytes();
}

void check_bounded(std::span<const std::byte> bytes) {
  const size_t peak = peak_of_opening(bytes);
  if (peak > 3 * bytes.size() + (16u << 20)) {
    FAIL_CHECK("a file of " << bytes.size() << " bytes took " << peak << " bytes of memory");
  }
}

}  // namespace

TEST_CASE("opening takes at most 3 x the file + 16 MiB: the tables at their limits") {
  GgufBytes keys;
  keys.header(3, 0, kGgufMaxKeys);
  for (uint64_t i = 0; i < kGgufMaxKeys; ++i) keys.scalar<uint8_t>(fmt::format("{:x}", i), 0, 1);
  check_bounded(keys.bytes);

  GgufBytes tensors;
  tensors.header(3, kGgufMaxTensors, 0);
  for (uint64_t i = 0; i < kGgufMaxTensors; ++i)
    tensors.tensor(fmt::format("{:x}", i), {}, 77, i * 32);
  tensors.pad(32);
  check_bounded(tensors.bytes);  // cut short
  tensors.data(kGgufMaxTensors * 32);
  check_bounded(tensors.bytes);

  GgufBytes strings;
  strings.header(3, 0, 1);
  strings.array("tokens", 8, 1 << 20);
  strings.bytes.resize(strings.bytes.size() + (8u << 20));  // a million empty strings
  check_bounded(strings.bytes);
}

TEST_CASE("opening takes bounded memory whatever number stands in a field") {
  const GgufBytes sample = test::sample_gguf();
  for (const GgufBytes::Field& field : sample.fields) {
    for (const uint64_t value :
         {uint64_t{1000}, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 61,
          uint64_t{1} << 63, std::numeric_limits<uint64_t>::max()}) {
      std::vector<std::byte> bytes = sample.bytes;
      std::memcpy(bytes.data() + field.at, &value, field.width);
      INFO(field.what << " = " << value);
      CHECK(peak_of_opening(bytes) < 64 * 1024);
    }
  }
}

TEST_CASE("a token array costs 8 bytes a token beyond the file") {
  GgufBytes f;
  f.header(3, 0, 1);
  f.array("tokens", 8, 262144);
  for (int i = 0; i < 262144; ++i) f.string("token", "token");
  CHECK(peak_of_opening(f.bytes) < 262144 * 8 + 16 * 1024);
}
