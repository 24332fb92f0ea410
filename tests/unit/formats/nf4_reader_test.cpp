// examples/nf4_reader.cpp, which has nothing of nibble, prints what nibble decodes.
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "formats/open.h"
#include "quant/codec.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace nibble;

namespace {

const std::string kFixture = std::string(NIBBLE_SOURCE_DIR) + "/tests/fixtures/gguf/packed.gguf";

struct Output {
  int status = -1;
  std::vector<float> numbers;
};

Output run(const std::string& path, const std::string& tensor) {
  Output out;
  const std::string command = NIBBLE_NF4_READER " '" + path + "' '" + tensor + "' 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  char line[64];
  while (std::fgets(line, sizeof line, pipe) != nullptr) {
    out.numbers.push_back(std::strtof(line, nullptr));
  }
  const int status = pclose(pipe);
  if (WIFEXITED(status)) out.status = WEXITSTATUS(status);
  return out;
}

}  // namespace

TEST_CASE("the independent reader of NF4 prints what nibble decodes") {
  const TensorFile file = open_tensor_file(kFixture);
  const TensorInfo* info = file.find("NF4");
  REQUIRE(info != nullptr);
  std::vector<float> want(static_cast<size_t>(info->rows() * info->cols()));
  dequantize_row(DType::NF4, file.data(*info).data(), info->rows() * info->cols(), want.data());
  const Output got = run(kFixture, "NF4");
  CHECK(got.status == 0);
  CHECK(got.numbers == want);
}

TEST_CASE("the independent reader of NF4 refuses what it cannot read") {
  CHECK(run(kFixture, "Q4_0").status == 1);
  CHECK(run("/nonexistent", "NF4").status == 1);
  const test::TempDir dir;
  const std::string whole = test::read_file(kFixture);
  const TensorFile file = open_tensor_file(kFixture);
  const TensorInfo* info = file.find("NF4");
  REQUIRE(info != nullptr);
  const auto end = static_cast<size_t>(info->offset + info->bytes);
  for (size_t cut = 0; cut < end; cut += end / 40) {
    test::write_file(dir / "cut.gguf", whole.substr(0, cut));
    INFO(cut << " of " << end);
    CHECK(run(dir / "cut.gguf", "NF4").status == 1);
  }
  test::write_file(dir / "cut.gguf", whole.substr(0, end - 1));
  CHECK(run(dir / "cut.gguf", "NF4").status == 1);
}
