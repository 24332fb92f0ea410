// A program outside the tree, in C++17, against what was installed.
#include <nibble.hpp>

#include <iostream>
#include <string>

int main() {
  const nibble::Env env({{"threads", "1"}});
  try {
    const nibble::Model model(env, "/does/not/exist.gguf");
  } catch (const nibble::Error& error) {
    const bool named = std::string(error.what()).find("/does/not/exist.gguf") != std::string::npos;
    return error.status() == NIBBLE_NOT_FOUND && named ? 0 : 1;
  }
  return 1;
}
