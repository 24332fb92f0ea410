#include "formats/foreign.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "formats/io/bytes.h"
#include "formats/io/error.h"

namespace nibble {
namespace {

using namespace std::string_view_literals;

struct ForeignKind {
  std::string_view magic;  // the first bytes
  const char* what;
  const char* hint;
};

constexpr const char* kConvert = "convert it to GGUF first, or get the model's .gguf file";
constexpr const char* kUnpack = "unpack it first";
constexpr const char* kOldGgml = "files older than GGUF cannot be read; get the model as GGUF";

constexpr ForeignKind kKinds[] = {
    {"PK\x03\x04"sv, "a zip archive (PyTorch checkpoints are such)", kConvert},
    {"\x80\x02"sv, "a Python pickle (an old PyTorch checkpoint)", kConvert},
    {"\x89HDF\r\n"sv, "an HDF5 file", kConvert},
    {"\x1f\x8b"sv, "a gzip file", kUnpack},
    {"\x28\xb5\x2f\xfd"sv, "a zstd file", kUnpack},
    {"\xfd\x37zXZ"sv, "an xz file", kUnpack},
    {"BZh"sv, "a bzip2 file", kUnpack},
    {"7z\xbc\xaf\x27\x1c"sv, "a 7z archive", kUnpack},
    {"lmgg"sv, "a GGML file", kOldGgml},
    {"fmgg"sv, "a GGMF file", kOldGgml},
    {"tjgg"sv, "a GGJT file", kOldGgml},
    {"algg"sv, "a GGLA file (an old adapter)", kOldGgml},
    {"\x7f"
     "ELF"sv,
     "a program", "name the model file"},
};

bool starts_with_ignoring_case(std::string_view text, std::string_view lower) {
  if (text.size() < lower.size()) return false;
  return std::equal(lower.begin(), lower.end(), text.begin(), [](char want, char got) {
    return want == (got >= 'A' && got <= 'Z' ? static_cast<char>(got - 'A' + 'a') : got);
  });
}

std::string_view skip_space(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  while (!text.empty() &&
         (text[0] == ' ' || text[0] == '\n' || text[0] == '\r' || text[0] == '\t')) {
    text.remove_prefix(1);
  }
  return text;
}

// The pointer is a few text lines, one of them "size <bytes>".
[[noreturn]] void fail_lfs_pointer(std::string_view text, const std::string& name) {
  std::string expected = "the model's bytes";
  const size_t at = text.find("\nsize ");
  if (at != std::string_view::npos) {
    uint64_t size = 0;
    const char* digits = text.data() + at + 6;
    const auto result = std::from_chars(digits, text.data() + text.size(), size);
    if (result.ec == std::errc()) expected = fmt::format("the model's {} bytes", size);
  }
  throw Error(ErrorCode::bad_file,
              fmt::format("{}: expected {}, got a Git LFS pointer of {} bytes", name, expected,
                          text.size()),
              "run `git lfs pull` where the file came from, or download the file itself");
}

[[noreturn]] void fail_kind(const std::string& name, const char* what, const char* hint) {
  throw Error(ErrorCode::unsupported, fmt::format("{}: expected a GGUF file, got {}", name, what),
              hint);
}

}  // namespace

void fail_foreign(std::span<const std::byte> bytes, const std::string& name) {
  if (bytes.empty()) {
    throw Error(ErrorCode::bad_file, fmt::format("{}: the file is empty", name),
                "the download did not finish; get the file again");
  }
  // Enough for every kind; a page of zeros is looked at whole.
  const std::string_view head = as_text(bytes.first(std::min<size_t>(bytes.size(), 4096)));
  for (const ForeignKind& kind : kKinds) {
    if (head.starts_with(kind.magic)) fail_kind(name, kind.what, kind.hint);
  }
  if (head.starts_with("version https://git-lfs")) fail_lfs_pointer(head, name);

  const std::string_view text = skip_space(head);
  if (starts_with_ignoring_case(text, "<!doctype") || starts_with_ignoring_case(text, "<html") ||
      starts_with_ignoring_case(text, "<?xml")) {
    fail_kind(name, "a web page",
              "the download saved a page instead of the model; get the file's own link");
  }
  // safetensors: the length of a JSON header, then the header.
  if (head.size() > 8 && head[8] == '{' && load_le<uint64_t>(bytes.data()) < bytes.size()) {
    fail_kind(name, "a safetensors file", "nibble convert makes GGUF of it and its folder");
  }
  if (text.starts_with("{")) fail_kind(name, "a JSON text", "name the model file beside it");
  if (std::all_of(head.begin(), head.end(), [](char c) { return c == 0; })) {
    throw Error(ErrorCode::bad_file,
                fmt::format("{}: expected a GGUF file, got zeros from the start ({} bytes)", name,
                            bytes.size()),
                "the download did not finish; get the file again");
  }
  throw Error(ErrorCode::bad_file,
              fmt::format("{}: expected a GGUF file (first bytes 47 47 55 46), got first bytes "
                          "{:02x} in a file of {} bytes",
                          name,
                          fmt::join(reinterpret_cast<const unsigned char*>(head.data()),
                                    reinterpret_cast<const unsigned char*>(head.data()) +
                                        std::min<size_t>(head.size(), 4),
                                    " "),
                          bytes.size()),
              "nibble runs models in the GGUF format");
}

}  // namespace nibble
