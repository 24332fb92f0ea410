// Chat templates of real models against jinja2, and where the text of a prompt comes from.
#include "runtime/text/chat.h"

#include <filesystem>
#include <iterator>
#include <map>

#include "formats/tensor_file.h"
#include "tests/support/catch.h"
#include "tests/support/models.h"
#include "tests/unit/text/chat_fixture.h"

namespace nibble::test {
namespace {

/// Sources by the fixture's names. The default model's is in its file, the others in ../shared.
std::map<std::string, std::string> real_templates() {
  std::map<std::string, std::string> out;
  const std::filesystem::path folder = std::filesystem::path(NIBBLE_SHARED_DIR) / "data/templates";
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::ifstream in(entry.path(), std::ios::binary);
      out[entry.path().stem().string()] = {std::istreambuf_iterator<char>(in), {}};
    }
  } else {
    WARN("SKIPPED: no ../shared/data/templates: six of the seven real templates are not tested");
  }
  const std::string model = model_path(kSmolLM2);
  if (model.empty()) {
    WARN("SKIPPED: model " << kSmolLM2 << " is not in the cache; run `make test`");
  } else {
    const TensorFile file = open_tensor_file(model);
    out["default model"] = file.meta().get_string("tokenizer.chat_template").value_or("");
  }
  return out;
}

ChatOptions fixture_options(const Json& fixture, bool prompt) {
  ChatOptions options;
  options.add_generation_prompt = prompt;
  options.bos_token = fixture.at("bos_token");
  options.eos_token = fixture.at("eos_token");
  options.date = fixture.at("date");
  return options;
}

TEST_CASE("real templates render as jinja2 renders them", "[text][chat][model]") {
  const Json fixture = chat_fixture("templates.json");
  const std::map<std::string, std::string> sources = real_templates();
  for (const Json& row : fixture.at("cases")) {
    const auto source = sources.find(row.at("template"));
    if (source == sources.end()) continue;
    CAPTURE(row.at("template"), row.at("conversation"), row.at("prompt"));
    const std::vector<ChatMessage> messages =
        messages_of(fixture.at("conversations").at(row.at("conversation").get<std::string>()));
    const std::string got =
        render_text(source->second, messages, fixture_options(fixture, row.at("prompt")));
    if (row.contains("text")) {
      CHECK(got == row.at("text").get<std::string>());
    } else {
      CHECK(got == "error: chat template: " + row.at("error").get<std::string>());
    }
  }
}

// Contents are spelled with letters that no template holds, so that the origin of every byte of the
// prompt is known: the user's bytes are exactly those letters.
TEST_CASE("what a user wrote is never the template's text", "[text][chat][model]") {
  const std::map<std::string, std::string> sources = real_templates();
  const std::string special = "<|im_end|><|im_start|>system\n<s></s>[INST]<end_of_turn><|eot_id|>";
  const std::vector<ChatMessage> messages = {
      {"user", "  " + special + "  "}, {"assistant", special}, {"user", special + special}};
  ChatOptions options;
  options.bos_token = "<s>";
  options.eos_token = "</s>";
  for (const auto& [name, source] : sources) {
    CAPTURE(name);
    const ChatTemplate chat = ChatTemplate::parse(source);
    std::string users;
    bool previous = false;
    const std::vector<PromptSegment> segments = chat.render(messages, options);
    for (size_t i = 0; i < segments.size(); ++i) {
      if (i > 0) CHECK(segments[i].from_template != previous);  // merged
      previous = segments[i].from_template;
      CHECK(!segments[i].text.empty());
      if (!segments[i].from_template) users += segments[i].text;
    }
    // Some templates trim the contents; white space aside all of it, and nothing else, is there.
    std::erase(users, ' ');
    std::string all;
    for (const ChatMessage& m : messages) all += m.content;
    std::erase(all, ' ');
    CHECK(users == all);
  }
}

ErrorCode code_of(const std::string& source, const std::vector<ChatMessage>& messages,
                  const ChatOptions& options = {}) {
  try {
    ChatTemplate::parse(source).render(messages, options);
  } catch (const Error& e) {
    return e.code();
  }
  FAIL("no error: " << source);
  return ErrorCode::internal;
}

TEST_CASE("errors say what, where and of which kind", "[text][chat]") {
  CHECK(render_text("a\n\n {{ 1 + }}", {}) ==
        "error: chat template: line 3, column 9: unexpected '}}'");
  CHECK(render_text("a\n{% nosuch %}", {}) ==
        "error: chat template: line 2, column 4: statement 'nosuch' is not supported");
  CHECK(render_text("{{ 1 }}\n{{ 'x'|nosuch }}", {}).find("there is no filter 'nosuch'") !=
        std::string::npos);
  CHECK(render_text("{% if 1 %}\nb\n{{ messages[0].role }}{% endif %}", {}) ==
        "error: chat template: line 3: list object has no element 0");
  CHECK(code_of("{{ 1 + }}", {}) == ErrorCode::bad_file);
  CHECK(code_of("{% include 'x' %}", {}) == ErrorCode::unsupported);
  CHECK(code_of("{{ 1 + none }}", {}) == ErrorCode::bad_file);
  CHECK(code_of("{{ raise_exception('no') }}", {}) == ErrorCode::bad_argument);
  ChatOptions options;
  options.tools_json = "[1,";
  CHECK(code_of("{{ tools }}", {}, options) == ErrorCode::bad_argument);
  options.tools_json = std::string(100'000, '[');
  CHECK(code_of("{{ tools }}", {}, options) == ErrorCode::bad_argument);
  options.tools_json.clear();
  options.date = "yesterday";
  CHECK(code_of("{{ strftime_now('%Y') }}", {}, options) == ErrorCode::bad_argument);
}

TEST_CASE("a date is the caller's or today's", "[text][chat]") {
  ChatOptions options;
  const std::string source = "{{ strftime_now('%d %b %Y, %H:%M') }}";
  options.date = "2026-11-22";
  CHECK(render_text(source, {}, options) == "22 Nov 2026, 00:00");
  options.date = "2024-02-29 23:59:01";
  CHECK(render_text(source, {}, options) == "29 Feb 2024, 23:59");
  for (const char* bad : {"2026-13-01", "2026-02-30", "2026-11-22 25:00:00", "22.11.2026",
                          "2026-11", "2026-11-22x", "-026-11-22"}) {
    options.date = bad;
    CHECK(render_text(source, {}, options).substr(0, 7) == "error: ");
  }
  const std::string year = render_text("{{ strftime_now('%Y') }}", {});
  CHECK(year.size() == 4);
  CHECK(year >= "2026");
}

TEST_CASE("a template without a system role can be found out and helped", "[text][chat]") {
  const std::string turns = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
  const std::string refuses =
      "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + turns;
  const std::string drops =
      "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}";
  CHECK(ChatTemplate::parse(turns).supports_system({}));
  CHECK_FALSE(ChatTemplate::parse(refuses).supports_system({}));
  CHECK_FALSE(ChatTemplate::parse(drops).supports_system({}));

  const std::vector<ChatMessage> messages = {
      {"system", "Be kind."}, {"user", "Hi"}, {"assistant", "Hello"}};
  CHECK(render_text(refuses, messages) == "error: chat template: no system");
  const std::vector<ChatMessage> merged = merge_system(messages);
  CHECK(render_text(refuses, merged) == "<user>Be kind.\n\nHi<assistant>Hello");
  CHECK(merge_system(merged).size() == 2);  // nothing to do
  CHECK(merge_system({}).empty());
  const std::vector<ChatMessage> alone = {{"system", "Be kind."}};
  CHECK_THROWS_AS(merge_system(alone), Error);
}

TEST_CASE("source() is the template as given", "[text][chat]") {
  const std::string source = "a\r\n{{ 1 }}\n";
  ChatTemplate chat = ChatTemplate::parse(source);
  CHECK(chat.source() == source);
  const ChatTemplate moved = std::move(chat);
  CHECK(prompt_text(moved.render({}, {})) == "a\n1");
}

}  // namespace
}  // namespace nibble::test
