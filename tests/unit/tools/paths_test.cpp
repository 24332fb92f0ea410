// Model names: paths, names in a folder, and what is said about those that are neither.
#include "tools/paths.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/catch.h"
#include "tools/exit_code.h"

using namespace nibble;

namespace {

struct ModelFolder {
  ModelFolder() {
    char name[] = "/tmp/nibble_test_XXXXXX";
    path = ::mkdtemp(name);
    for (const char* file : {"SmolLM2-135M.Q4_1.gguf", "gemma-3.gguf", "gemma-4.gguf", "x.txt"}) {
      std::ofstream(path + "/" + file) << "x";
    }
  }
  ~ModelFolder() { std::filesystem::remove_all(path); }
  std::string path;
};

std::string hint_for(const std::string& name, const std::string& folder) {
  try {
    find_model(name, folder);
  } catch (const CommandError& e) {
    CHECK(e.code() == ExitCode::model);
    CHECK(e.message().find(name) != std::string::npos);
    return e.hint();
  }
  return "found";
}

}  // namespace

TEST_CASE("models are found by path and by name") {
  const ModelFolder folder;
  CHECK(find_model(folder.path + "/x.txt", "") == folder.path + "/x.txt");
  CHECK(find_model("gemma-3.gguf", folder.path) == folder.path + "/gemma-3.gguf");
  CHECK(find_model("gemma-3", folder.path) == folder.path + "/gemma-3.gguf");
  CHECK(find_model("smollm2", folder.path) == folder.path + "/SmolLM2-135M.Q4_1.gguf");
  CHECK(models_in(folder.path).size() == 3);
}

TEST_CASE("models that are not there") {
  const ModelFolder folder;
  CHECK(hint_for("gemma", folder.path) == "several models begin so: gemma-3.gguf, gemma-4.gguf");
  CHECK(hint_for("gemma-33.gguf", folder.path) == "did you mean gemma-3.gguf?");
  CHECK(hint_for("/no/such.gguf", folder.path) == "check the path");
  CHECK(hint_for("llama", "/no/such/folder").find("no models") != std::string::npos);
  CHECK_THROWS_AS(default_model(folder.path), CommandError);
}
