// nf4_reader FILE TENSOR: prints an NF4 tensor of a GGUF file as floats, one a line. Written from
// docs/format.md alone, with nothing of nibble's. A damaged file is an error, never more.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

// clang-format off
static const float kLevels[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
    -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
    0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};
// clang-format on

struct Reader {
  std::vector<char> file;
  size_t at = 0;
  const char* skip(uint64_t n) {
    if (n > file.size() - at) throw std::runtime_error("the file ends too early");
    at += n;
    return file.data() + at - n;
  }
  template <class T>
  T number() {
    T x;
    std::memcpy(&x, skip(sizeof(T)), sizeof(T));
    return x;
  }
  std::string text() {
    const auto n = number<uint64_t>();
    return {skip(n), n};
  }
  void value(uint32_t type) {
    static const int kSizes[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type > 12) throw std::runtime_error("a key of unknown type");
    if (type == 8) return void(text());
    if (type != 9) return void(skip(static_cast<uint64_t>(kSizes[type])));
    const auto item = number<uint32_t>();
    if (item == 9) throw std::runtime_error("an array of arrays");
    for (auto n = number<uint64_t>(); n > 0; --n) value(item);
  }
};

static float half(uint16_t h) {
  const int exponent = h >> 10 & 31;
  const float significand = static_cast<float>((h & 1023) + (exponent == 0 ? 0 : 1024));
  return std::ldexp(h >> 15 != 0 ? -significand : significand, std::max(exponent, 1) - 25);
}

static void print(Reader r, const std::string& wanted) {
  if (std::memcmp(r.skip(4), "GGUF", 4) != 0) throw std::runtime_error("not a GGUF file");
  r.skip(4);
  const auto tensors = r.number<uint64_t>();
  uint32_t alignment = 32;
  for (auto n = r.number<uint64_t>(); n > 0; --n) {
    const std::string name = r.text();
    const auto type = r.number<uint32_t>();
    if (name != "general.alignment") r.value(type);
    if (name == "general.alignment") alignment = r.number<uint32_t>();
  }
  if (alignment == 0) throw std::runtime_error("no alignment");
  uint64_t offset = 0, elements = 0;
  for (uint64_t t = 0; t < tensors; ++t) {
    const bool here = r.text() == wanted;
    uint64_t product = 1;
    for (auto n = r.number<uint32_t>(); n > 0; --n) product *= r.number<uint64_t>();
    const bool nf4 = r.number<uint32_t>() == 0x4E428400;
    const auto place = r.number<uint64_t>();
    if (here && nf4) offset = place, elements = product;
  }
  if (elements == 0) throw std::runtime_error("no NF4 tensor " + wanted);
  r.skip((alignment - r.at % alignment) % alignment);
  r.skip(offset);
  for (; elements >= 64; elements -= 64) {
    const float d = half(r.number<uint16_t>());
    const char* codes = r.skip(32);
    for (int i = 0; i < 64; ++i) {
      const int byte = codes[i / 32 * 16 + i % 16];
      std::printf("%.9g\n", d * kLevels[i % 32 < 16 ? byte & 15 : byte >> 4 & 15]);
    }
  }
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: nf4_reader FILE TENSOR\n"), 2;
  std::ifstream in(argv[1], std::ios::binary);
  try {
    print({{std::istreambuf_iterator<char>(in), {}}}, argv[2]);
  } catch (const std::exception& e) {
    return std::fprintf(stderr, "%s: %s\n", argv[1], e.what()), 1;
  }
}
