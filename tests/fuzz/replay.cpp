// Runs one fuzz target on every file of a folder, on every shorter beginning of the small ones and
// on nothing: what a build without libFuzzer can do to keep the target alive. A crash is the
// failure.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kCutEveryByteUpTo = 4096;

std::vector<uint8_t> read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Own allocation of exactly `size` bytes, so that a sanitizer sees a read past the end.
void run(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> input(data, data + size);
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  size_t inputs = 1;
  run(nullptr, 0);
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) continue;
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
      const std::vector<uint8_t> seed = read_file(file);
      run(seed.data(), seed.size());
      const size_t cuts = seed.size() <= kCutEveryByteUpTo ? seed.size() : 0;
      for (size_t cut = 0; cut < cuts; ++cut) run(seed.data(), cut);
      inputs += 1 + cuts;
    }
  }
  std::printf("%zu inputs\n", inputs);
  return 0;
}
