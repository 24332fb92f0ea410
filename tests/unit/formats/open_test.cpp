// What people open by mistake is named, with advice.
#include "formats/open.h"

#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_bytes.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;
using namespace std::string_literals;

namespace {

void check_foreign(const std::string& content, ErrorCode code, const std::string& text) {
  const test::TempDir dir;
  test::write_file(dir / "model.gguf", content);
  INFO(text);
  try {
    (void)open_tensor_file(dir / "model.gguf");
    FAIL("opened");
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK_THAT(error.what(), Contains(dir / "model.gguf") && Contains(text));
    CHECK_FALSE(error.hint().empty());
  }
}

}  // namespace

TEST_CASE("foreign files are named, with advice") {
  constexpr auto kUnsupported = ErrorCode::unsupported;
  check_foreign("\n <!DOCTYPE html><html>", kUnsupported, "a web page");
  check_foreign("\xef\xbb\xbf<HTML>", kUnsupported, "a web page");
  check_foreign("<?xml version='1.0'?><Error>", kUnsupported, "a web page");
  check_foreign("PK\x03\x04 and so on", kUnsupported, "a zip archive");
  check_foreign("\x80\x02}q\x00"s, kUnsupported, "a Python pickle");
  check_foreign("\x10\0\0\0\0\0\0\0{\"a\":{}}        "s, kUnsupported, "a safetensors file");
  check_foreign("{\"architectures\": []}", kUnsupported, "a JSON text");
  check_foreign("\x1f\x8b\x08", kUnsupported, "a gzip file");
  check_foreign("\x28\xb5\x2f\xfd\x04", kUnsupported, "a zstd file");
  check_foreign("lmgg\x01\0\0\0"s, kUnsupported, "a GGML file");
  check_foreign("tjgg\x03\0\0\0"s, kUnsupported, "a GGJT file");
  check_foreign(
      "\x7f"
      "ELF\x02",
      kUnsupported, "a program");
}

TEST_CASE("downloads that did not work are told from foreign files") {
  constexpr auto kBad = ErrorCode::bad_file;
  check_foreign("", kBad, "the file is empty");
  check_foreign(std::string(100000, '\0'), kBad, "zeros from the start (100000 bytes)");
  check_foreign("version https://git-lfs.example/spec/v1\noid sha256:00\nsize 98362432\n", kBad,
                "expected the model's 98362432 bytes, got a Git LFS pointer of 68 bytes");
  check_foreign("version https://git-lfs.example/spec/v1\nsize x", kBad, "Git LFS pointer");
  check_foreign("abcd, no magic at all", kBad, "got first bytes 61 62 63 64 in a file of 21 bytes");
  check_foreign("a", kBad, "got first bytes 61 in a file of 1 bytes");
  check_foreign("G", kBad, "magic at byte 0: expected 4 more bytes, got 1");
  check_foreign("GGUF\x03\0\0\0\x01"s, kBad, "number of tensors at byte 8");
}

TEST_CASE("each format of the table knows a file of its own") {
  const test::GgufBytes sample = test::sample_gguf();
  REQUIRE(file_formats().size() == 1);
  const FileFormat& gguf = file_formats()[0];
  CHECK(gguf.name == "gguf"s);
  CHECK(gguf.probe(sample.bytes));
  CHECK_FALSE(gguf.probe({}));
  CHECK(open_tensor_memory(sample.bytes, "m").format() == "gguf"s);
}
