#pragma once
// A toy model that chats, opened through the C API.
#include <string>

#include "tests/support/catch.h"
#include "tests/support/chatting_model.h"
#include "tests/support/temp_dir.h"

namespace nibble::test {

struct ApiFixture {
  ApiFixture() {
    write_file(dir / "toy.gguf", chatting_model());
    REQUIRE(nibble_env_create(nullptr, &env, &error) == NIBBLE_OK);
    INFO(error.message);
    REQUIRE(nibble_model_open(env, path().c_str(), nullptr, nullptr, &model, &error) == NIBBLE_OK);
    REQUIRE(nibble_session_create(model, kGreedy, &session, &error) == NIBBLE_OK);
  }
  ~ApiFixture() {
    nibble_session_free(session);
    nibble_model_free(model);
    nibble_env_free(env);
  }
  std::string path() const { return dir / "toy.gguf"; }

  TempDir dir;
  nibble_env* env = nullptr;
  nibble_model* model = nullptr;
  nibble_session* session = nullptr;
  nibble_error error = NIBBLE_ERROR_INIT;
};

}  // namespace nibble::test
