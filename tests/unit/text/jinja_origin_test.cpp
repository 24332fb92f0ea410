// The origin of every byte survives what templates do to strings. Written by hand: there is no
// other implementation to compare with.
#include "tests/support/catch.h"
#include "tests/unit/text/chat_fixture.h"

namespace nibble::test {
namespace {

struct Row {
  const char* expression;  // c is the content "xy<|z|>xy"
  const char* marked;      // the prompt, the user's parts in [ ]
};

std::string marked(const std::vector<PromptSegment>& segments) {
  std::string out;
  for (const PromptSegment& s : segments) out += s.from_template ? s.text : "[" + s.text + "]";
  return out;
}

std::string render_marked(const std::string& source, const std::vector<ChatMessage>& messages,
                          const ChatOptions& options = {}) {
  return marked(ChatTemplate::parse(source).render(messages, options));
}

const Row kRows[] = {
    {"c", "[xy<|z|>xy]"},
    {"c + 'a'", "[xy<|z|>xy]a"},
    {"'a' + c + 'b' + c", "a[xy<|z|>xy]b[xy<|z|>xy]"},
    {"'a' ~ c ~ 1", "a[xy<|z|>xy]1"},
    {"(' ' + c + ' ')|trim", "[xy<|z|>xy]"},
    {"('a' + c)[1:4]", "[xy<]"},
    {"('ab' + c)[1:4]", "b[xy]"},
    {"('a' + c + 'b')[::-1]", "b[yx>|z|<yx]a"},
    {"('a' + c)[0]", "a"},
    {"('a' + c)[-1]", "[y]"},
    {"('a' + c)|upper", "A[XY<|Z|>XY]"},
    {"(c + 'A')|lower", "[xy<|z|>xy]a"},
    {"(c + 'a')|title", "[Xy<|z|>xy]a"},
    {"(c + 'A')|capitalize", "[Xy<|z|>xy]a"},
    {"c|replace('x', 'a')", "a[y<|z|>]a[y]"},
    {"c|replace('<|z|>', '')", "[xyxy]"},
    {"('a-b')|replace('-', c)", "a[xy<|z|>xy]b"},
    {"c.replace('x', 'a')", "a[y<|z|>]a[y]"},
    {"c.split('<|z|>')|join('-')", "[xy]-[xy]"},
    {"c.split('<|z|>')[0] + '<|z|>'", "[xy]<|z|>"},
    {"c.partition('z')[1]", "[z]"},
    {"c.strip('x')", "[y<|z|>xy]"},
    {"c|list|join", "[xy<|z|>xy]"},
    {"c|list|join('a')", "[x]a[y]a[<]a[|]a[z]a[|]a[>]a[x]a[y]"},
    {"c|reverse", "[yx>|z|<yx]"},
    {"c * 2", "[xy<|z|>xyxy<|z|>xy]"},
    {"(c + 'a') * 2", "[xy<|z|>xy]a[xy<|z|>xy]a"},
    {"c|first + c|last", "[xy]"},
    {"c|tojson", "\"[xy<|z|>xy]\""},
    {"[c, 'a']|tojson", "[\"[xy<|z|>xy]\", \"a\"]"},
    {"{'a': c}|tojson", "{\"a\": \"[xy<|z|>xy]\"}"},
    {"{c: 'a'}|tojson(indent=1)", "{\n \"[xy<|z|>xy]\": \"a\"\n}"},
    {"[c]", "['[xy<|z|>xy]']"},
    {"{'a': c}", "{'a': '[xy<|z|>xy]'}"},
    {"c|string", "[xy<|z|>xy]"},
    {"'%s-%s'|format(c, 'a')", "[xy<|z|>xy]-a"},
    {"'%-12sa' % c", "[xy<|z|>xy]   a"},
    {"(c + '%s') % 'a'", "[xy<|z|>xy]a"},
    {"'{}-{!r}'.format(c, c)", "[xy<|z|>xy]-'[xy<|z|>xy]'"},
    {"c|center(11)", " [xy<|z|>xy] "},
    {"c.ljust(11, 'a')", "[xy<|z|>xy]aa"},
    {"'a'.join([c, c])", "[xy<|z|>xy]a[xy<|z|>xy]"},
    {"c.join(['a', 'b'])", "a[xy<|z|>xy]b"},
    {"c|indent(2, true)", "  [xy<|z|>xy]"},
    {"c|truncate(5, true, '..', 0)", "[xy<].."},
    {"c|escape", "[xy&lt;|z|&gt;xy]"},
    {"[c, 'a']|sort|join", "a[xy<|z|>xy]"},
    {"[c]|map('upper')|join", "[XY<|Z|>XY]"},
    {"messages|map(attribute='content')|join", "[xy<|z|>xy]"},
    {"messages|selectattr('content', 'equalto', 'xy<|z|>xy')|map(attribute='content')|first",
     "[xy<|z|>xy]"},
    {"[c]|max", "[xy<|z|>xy]"},
    {"c|default('a')", "[xy<|z|>xy]"},
    {"c if c == 'xy<|z|>xy' else 'a'", "[xy<|z|>xy]"},
    {"'xy<|z|>xy' if c == 'xy<|z|>xy'", "xy<|z|>xy"},
    {"c or 'a'", "[xy<|z|>xy]"},
    {"namespace(v=c).v", "[xy<|z|>xy]"},
    {"dict(v=c).v", "[xy<|z|>xy]"},
    {"[c, 'a']|batch(1)|first|first", "[xy<|z|>xy]"},
    {"cycler(c, 'a').next()", "[xy<|z|>xy]"},
    {"messages[0]['content'].swapcase()", "[XY<|Z|>XY]"},
    {"c.removeprefix('xy')", "[<|z|>xy]"},
    {"c.splitlines()|join", "[xy<|z|>xy]"},
    {"(messages|groupby('content')|first)[0]", "[xy<|z|>xy]"},
};

TEST_CASE("the user's bytes stay the user's through every operation", "[text][chat]") {
  const std::vector<ChatMessage> messages = {{"user", "xy<|z|>xy"}};
  for (const Row& row : kRows) {
    CAPTURE(row.expression);
    const std::string source =
        std::string("{% set c = messages[0].content %}{{ ") + row.expression + " }}";
    CHECK(render_marked(source, messages) == row.marked);
  }
}

TEST_CASE("the user's bytes stay the user's through statements", "[text][chat]") {
  const std::vector<ChatMessage> messages = {{"user", "xy"}};
  const Row rows[] = {
      {"{% set v %}a{{ c }}b{% endset %}{{ v }}", "a[xy]b"},
      {"{% set v | upper %}a{{ c }}b{% endset %}{{ v }}", "A[XY]B"},
      {"{% filter upper %}a{{ c }}{% endfilter %}", "A[XY]"},
      {"{% macro f(p) %}a{{ p }}{% endmacro %}{{ f(c) }}{{ f('b') }}", "a[xy]ab"},
      {"{% macro f() %}{{ caller() }}{% endmacro %}{% call f() %}a{{ c }}{% endcall %}", "a[xy]"},
      {"{% for x in c %}{{ x }}{{ loop.nextitem }}-{% endfor %}", "[xy]-[y]-"},
      {"{% for k, v in messages[0].items() %}{{ k }}{{ v }} {% endfor %}", "roleuser content[xy] "},
      {"{% generation %}{{ c }}{% endgeneration %}a", "[xy]a"},
      {"{% set j = joiner(c) %}{{ j() }}a{{ j() }}", "a[xy]"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.expression);
    const std::string source = std::string("{% set c = messages[0].content %}") + row.expression;
    CHECK(render_marked(source, messages) == row.marked);
  }
}

TEST_CASE("roles that no program chooses are the user's text", "[text][chat]") {
  const std::string source = "{% for m in messages %}{{ m.role }} {% endfor %}";
  CHECK(render_marked(source, {{"system", ""}, {"user", ""}, {"assistant", ""}, {"tool", ""}}) ==
        "system user assistant tool ");
  CHECK(render_marked(source, {{"<|im_end|>", ""}, {"User", ""}}) == "[<|im_end|>] [User] ");
}

TEST_CASE("tools and variables are the user's text", "[text][chat]") {
  ChatOptions options;
  options.tools_json = R"([{"name": "x", "n": [1, 2.5, true, null]}])";
  options.variables = {{"v", R"({"xy": "z"})"}, {"enable_thinking", "false"}, {"n", "-3"}};
  CHECK(render_marked("{{ tools[0].name }}{{ tools[0].n }}{{ v.xy }}{{ v }}{{ n }}", {}, options) ==
        "[x][1, 2.5, True, None][z]{'[xy]': '[z]'}-3");
  CHECK(
      render_marked("{% if enable_thinking is defined and enable_thinking is false %}a{% endif %}",
                    {}, options) == "a");
}

TEST_CASE("the tokens that the caller gives are the template's text", "[text][chat]") {
  ChatOptions options;
  options.bos_token = "<s>";
  options.eos_token = "</s>";
  CHECK(render_marked("{{ bos_token }}{{ messages[0].content }}{{ eos_token|trim }}",
                      {{"user", "x"}}, options) == "<s>[x]</s>");
}

}  // namespace
}  // namespace nibble::test
