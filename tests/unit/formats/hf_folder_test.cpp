// Folders as strangers send them: names that lead elsewhere, pickles, pipes, lies in the index.
#include "formats/hf_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include "formats/io/error.h"
#include "tests/support/catch.h"
#include "tests/support/safetensors_bytes.h"
#include "tests/support/temp_dir.h"

using namespace nibble;
using Catch::Matchers::Contains;

namespace {

std::string one_tensor(const std::string& name) {
  return test::safetensors_bytes("{" + test::safetensors_entry(name, "U8", {1}, 0, 1) + "}", "x");
}

std::string index_of(const std::string& tensor, const std::string& file) {
  return R"({"metadata":{},"weight_map":{")" + tensor + R"(":")" + file + R"("}})";
}

struct Refusal {
  ErrorCode code = ErrorCode::internal;
  std::string message;
};

Refusal refusal(const std::string& path) {
  try {
    (void)HfFolder::open(path);
  } catch (const Error& error) {
    return {error.code(), error.message() + " | " + error.hint()};
  }
  return {ErrorCode::internal, "opened"};
}

}  // namespace

TEST_CASE("a folder with one file, or named by its file, is opened") {
  const test::TempDir dir;
  test::write_file(dir / "config.json", R"({"a":1})");
  test::write_file(dir / "model.safetensors", one_tensor("t"));
  for (const std::string& path : {dir.path(), dir.path() + "/", dir / "model.safetensors"}) {
    const HfFolder folder = HfFolder::open(path);
    CHECK(folder.find("t"));
    CHECK_FALSE(folder.find("u"));
    CHECK(folder.config().find("a").integer() == 1);
    CHECK_FALSE(folder.tokenizer().exists());
    CHECK(folder.files().size() == 2);
  }
}

TEST_CASE("shards are found through the index, links to regular files included") {
  const test::TempDir dir;
  test::write_file(dir / "config.json", "{}");
  test::write_file(dir / "blob", one_tensor("a"));
  REQUIRE(::symlink("blob", (dir / "one.safetensors").c_str()) == 0);
  test::write_file(dir / "two.safetensors", one_tensor("b"));
  test::write_file(dir / "model.safetensors.index.json",
                   R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  const HfFolder folder = HfFolder::open(dir.path());
  CHECK(folder.shards().size() == 2);
  CHECK(folder.find("a").file->path() == dir / "one.safetensors");
  CHECK(folder.find("b").tensor->bytes == 1);
}

TEST_CASE("a shard's name that leads out of the folder is refused by name") {
  for (const std::string name :
       {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "..", ".", "",
        "..\\\\x.safetensors", "x.safetensors\\u0000y.safetensors", ".x.safetensors", "passwd",
        "x.safetensors/", "%2e%2e/x.safetensors"}) {
    INFO(name);
    const test::TempDir dir;
    test::write_file(dir / "config.json", "{}");
    test::write_file(dir / "model.safetensors.index.json", index_of("t", name));
    const Refusal got = refusal(dir.path());
    CHECK(got.code == ErrorCode::bad_file);
    CHECK_THAT(got.message, Contains("index.json: tensor 't'") && Contains("same folder"));
  }
}

TEST_CASE("a shard that is no regular file is refused, and never waited for") {
  const test::TempDir dir;
  test::write_file(dir / "config.json", "{}");
  test::write_file(dir / "model.safetensors.index.json", index_of("t", "x.safetensors"));
  const std::string shard = dir / "x.safetensors";
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  for (const auto& [target, what] :
       {std::pair{"pipe", "a pipe"}, {"/dev/zero", "a device"}, {"/tmp", "a folder"}}) {
    REQUIRE(::symlink(target, shard.c_str()) == 0);
    CHECK_THAT(refusal(dir.path()).message, Contains("x.safetensors") && Contains(what));
    ::unlink(shard.c_str());
  }
  CHECK_THAT(refusal(dir.path()).message, Contains("x.safetensors"));
}

TEST_CASE("an index that does not fit its files is refused") {
  const test::TempDir dir;
  test::write_file(dir / "config.json", "{}");
  test::write_file(dir / "one.safetensors", one_tensor("a"));
  test::write_file(dir / "two.safetensors", one_tensor("a"));
  const std::string index = dir / "model.safetensors.index.json";
  const auto message = [&](const std::string& text) {
    test::write_file(index, text);
    return refusal(dir.path()).message;
  };
  CHECK_THAT(message(index_of("b", "one.safetensors")), Contains("'b'") && Contains("none there"));
  CHECK_THAT(message(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})"),
             Contains("'a'") && Contains("once"));
  CHECK_THAT(message("{}"), Contains("weight_map"));
  CHECK_THAT(message(R"({"weight_map":{"a":5}})"), Contains("file name"));
  CHECK_THAT(message(R"({"weight_map":{}})"), Contains("weight_map"));
  CHECK_THAT(message("{"), Contains("byte 1"));
}

TEST_CASE("pickles are refused by name with what to do, never opened") {
  for (const std::string name : {"pytorch_model.bin", "model.pt", "consolidated.00.pth", "x.ckpt",
                                 "pytorch_model-00001-of-00002.bin"}) {
    INFO(name);
    const test::TempDir dir;
    test::write_file(dir / "config.json", "{}");
    // A pipe would be waited for if it were opened.
    REQUIRE(::mkfifo((dir / name).c_str(), 0600) == 0);
    for (const std::string& path : {dir.path(), dir / name}) {
      const Refusal got = refusal(path);
      CHECK(got.code == ErrorCode::unsupported);
      CHECK_THAT(got.message,
                 Contains(name) && Contains("pickle") && Contains("safe_serialization"));
    }
  }
  const test::TempDir dir;
  test::write_file(dir / "config.json", "{}");
  test::write_file(dir / "model.safetensors.index.json", index_of("t", "pytorch_model.bin"));
  CHECK_THAT(refusal(dir.path()).message, Contains("pickle"));
  for (const std::string bytes : {"PK\x03\x04zip", "\x80\x02pickle"}) {
    CHECK_THROWS_AS(refuse_pickle("x.bin", std::as_bytes(std::span(bytes))), Error);
  }
  CHECK_NOTHROW(refuse_pickle("stories.bin", std::as_bytes(std::span("\x20\x01\x00\x00", 4))));
}

TEST_CASE("what is missing is named") {
  const test::TempDir dir;
  CHECK_THAT(refusal(dir.path()).message, Contains("model.safetensors"));
  test::write_file(dir / "model.safetensors", one_tensor("t"));
  CHECK_THAT(refusal(dir.path()).message, Contains("config.json"));
  CHECK(refusal(dir / "nothing").code == ErrorCode::not_found);
}

TEST_CASE("the chat template comes from its own file, or from the one named default") {
  const test::TempDir dir;
  test::write_file(dir / "model.safetensors", one_tensor("t"));
  test::write_file(dir / "config.json", "{}");
  const auto found = [&] { return HfFolder::open(dir.path()).chat_template(); };
  CHECK(found().empty());
  test::write_file(dir / "tokenizer_config.json",
                   R"({"chat_template":[{"name":"tool_use","template":"A"},
                       {"name":"default","template":"B"}]})");
  CHECK(found() == "B");
  test::write_file(dir / "tokenizer_config.json", R"({"chat_template":"C"})");
  CHECK(found() == "C");
  test::write_file(dir / "chat_template.jinja", "D");
  CHECK(found() == "D");
}
