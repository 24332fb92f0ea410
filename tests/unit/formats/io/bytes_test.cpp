#include "formats/io/bytes.h"

#include <vector>

#include "formats/io/quote.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_bytes.h"

using namespace nibble;
using Catch::Matchers::Contains;

TEST_CASE("ByteReader reads little-endian numbers at any alignment and knows its place") {
  test::GgufBytes f;
  f.raw<uint8_t>(7);
  f.raw<uint32_t>(0x01020304);
  f.raw<double>(-0.25);
  f.raw<uint64_t>(3);
  f.text("abc");
  ByteReader in(f.bytes, "file");
  CHECK(in.read<uint8_t>("a") == 7);
  CHECK(in.read<uint32_t>("b") == 0x01020304);
  CHECK(in.read<double>("c") == -0.25);
  CHECK(in.pos() == 13);
  CHECK(in.read_string("d") == "abc");
  CHECK(in.remaining() == 0);
  CHECK(in.take(0, "nothing").empty());
}

TEST_CASE("ByteReader refuses to pass the end and says where it stood") {
  const std::vector<std::byte> bytes(10);
  for (const uint64_t count :
       {uint64_t{7}, uint64_t{1} << 32, UINT64_MAX, UINT64_MAX - 3, uint64_t{1} << 63}) {
    ByteReader in(bytes, "x.gguf");
    (void)in.take(4, "head");
    try {
      (void)in.take(count, "the thing");
      FAIL("took " << count);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::bad_file);
      CHECK_THAT(error.what(), Contains("x.gguf: the thing at byte 4: expected"));
      CHECK_THAT(error.what(), Contains("got 6"));
      CHECK_FALSE(error.hint().empty());
    }
    CHECK(in.pos() == 4);
  }
}

TEST_CASE("quoted text cannot drive a terminal") {
  CHECK(quoted("plain key") == "'plain key'");
  CHECK(quoted("a'b\\") == "'a\\'b\\\\'");
  CHECK(quoted(std::string_view("\x1b[31m\0\n\x7f\xc3\xa9", 10)) ==
        "'\\x1b[31m\\x00\\x0a\\x7f\\xc3\\xa9'");
  CHECK(quoted(std::string(100, 'x'), 10) == "'xxxxxxxxxx'...");
}
