// Small templates against jinja2 (tests/oracle/jinja_snippets.py): byte-equal text, or both fail.
#include "tests/support/catch.h"
#include "tests/unit/text/chat_fixture.h"

namespace nibble::test {
namespace {

ChatOptions snippet_options(const Json& fixture) {
  ChatOptions options;
  options.bos_token = "<s>";
  options.eos_token = "</s>";
  options.date = fixture.at("date");
  for (const auto& [name, value] : fixture.at("variables").items()) {
    options.variables.emplace_back(name, value.dump());
  }
  return options;
}

TEST_CASE("snippets render as jinja2 renders them", "[text][chat]") {
  const Json fixture = chat_fixture("snippets.json");
  const ChatOptions options = snippet_options(fixture);
  const std::vector<ChatMessage> messages = messages_of(fixture.at("messages"));
  REQUIRE(fixture.at("cases").size() > 350);
  for (const Json& row : fixture.at("cases")) {
    const std::string source = row.at("source");
    CAPTURE(source);
    const std::string got = render_text(source, messages, options);
    if (row.contains("text")) {
      CHECK(got == row.at("text").get<std::string>());
    } else {
      CHECK(got.substr(0, 7) == "error: ");
    }
  }
}

TEST_CASE("every cut of every snippet renders or fails with an Error", "[text][chat]") {
  const Json fixture = chat_fixture("snippets.json");
  const ChatOptions options = snippet_options(fixture);
  const std::vector<ChatMessage> messages = messages_of(fixture.at("messages"));
  size_t cuts = 0;
  for (const Json& row : fixture.at("cases")) {
    const std::string source = row.at("source");
    for (size_t cut = 0; cut < source.size(); ++cut, ++cuts) {
      render_text(source.substr(0, cut), messages, options);
      render_text(source.substr(cut), messages, options);
    }
  }
  CHECK(cuts > 10000);
}

}  // namespace
}  // namespace nibble::test
