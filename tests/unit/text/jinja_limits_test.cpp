// Hostile templates: nesting of every kind on a small stack, every budget met from several
// constructs, what the budgets must let through, and attempts to reach the host.
#include <thread>
#include <utility>

#include "tests/support/catch.h"
#include "tests/support/small_stack.h"
#include "tests/unit/text/chat_fixture.h"

namespace nibble::test {
namespace {

std::string repeat(const std::string& s, size_t n) {
  std::string out;
  out.reserve(s.size() * n);
  for (size_t i = 0; i < n; ++i) out += s;
  return out;
}

/// render_text on a small stack, for every source in turn.
std::vector<std::string> render_all(const std::vector<std::string>& sources) {
  std::vector<std::string> out;
  on_small_stack([&] {
    for (const std::string& source : sources) out.push_back(render_text(source, {}));
  });
  return out;
}

bool is_error(const std::string& s) {
  return s.substr(0, 7) == "error: ";
}

struct Nesting {
  const char* open;
  const char* middle;
  const char* close;
};

const Nesting kExpressions[] = {
    {"(", "1", ")"},
    {"[", "1", "]"},
    {"{1:", "1", "}"},
    {"(1,", "1", ")"},
    {"-", "1", ""},
    {"not ", "1", ""},
    {"1+(", "1", ")"},
    {"1 if 1 else ", "1", ""},
    {"1 if (", "1", ") else 2"},
    {"x[", "1", "]"},
    {"x(", "1", ")"},
    {"x|default(", "1", ")"},
    {"x is eq(", "1", ")"},
    {"x is eq [", "1", "]"},
    {"x[1:", "1", "]"},
    {"'a' ~ (", "1", ")"},
    {"1 < (", "1", ")"},
    {"1 in [", "1", "]"},
    {"1 or 1 and not 1 < 1 + 1 ~ 1 * 1 ** (", "1", ")"},
};

const Nesting kBlocks[] = {
    {"{% if 1 %}", "x", "{% endif %}"},           {"{% for i in [1] %}", "x", "{% endfor %}"},
    {"{% set v %}", "x", "{% endset %}"},         {"{% filter upper %}", "x", "{% endfilter %}"},
    {"{% with %}", "x", "{% endwith %}"},         {"{% macro m() %}", "x", "{% endmacro %}"},
    {"{% call m() %}", "x", "{% endcall %}"},     {"{% generation %}", "x", "{% endgeneration %}"},
    {"{% if 0 %}{% else %}", "x", "{% endif %}"},
};

// On 128 KiB, half of what a thread of a careful host has. Deeper than 200 nothing is accepted.
TEST_CASE("nesting of any depth renders or is refused on a small stack", "[text][chat]") {
  for (const size_t depth : {1, 2, 10, 50, 90, 101, 201, 1000, 10'000, 100'000, 1'000'000}) {
    std::vector<std::string> sources;
    for (const Nesting& n : kExpressions) {
      sources.push_back("{{ " + repeat(n.open, depth) + n.middle + repeat(n.close, depth) + " }}");
      sources.push_back("{{ " + repeat(n.open, depth) + n.middle);
    }
    for (const Nesting& n : kBlocks) {
      sources.push_back(repeat(n.open, depth) + n.middle + repeat(n.close, depth));
      sources.push_back(repeat(n.open, depth) + n.middle);
    }
    for (const std::string& got : render_all(sources)) CHECK((depth <= 200 || is_error(got)));
  }
}

TEST_CASE("nesting that real templates could have is accepted", "[text][chat]") {
  const std::vector<std::string> sources = {
      "{{ " + repeat("(", 80) + "7" + repeat(")", 80) + " }}",
      "{{ (" + repeat("[", 80) + repeat("]", 80) + ")|length }}",
      repeat("{% if 1 %}", 80) + "7" + repeat("{% endif %}", 80),
      repeat("{% for i in [1] %}", 80) + "7" + repeat("{% endfor %}", 80),
      "{{ " + repeat("not ", 80) + "1 }}",
      "{% macro f(n) %}{{ f(n - 1) if n else '7' }}{% endmacro %}{{ f(90) }}",
  };
  CHECK(render_all(sources) == std::vector<std::string>{"7", "1", "7", "7", "True", "7"});
}

TEST_CASE("long chains are no nesting", "[text][chat]") {
  constexpr size_t n = 20'000;
  const std::pair<std::string, std::string> rows[] = {
      {"{{ 0" + repeat(" + 1", n) + " }}", "20000"},
      {"{{ 'x'" + repeat("|trim", n) + " }}", "x"},
      {"{{ ('a'" + repeat(" ~ 'b'", n) + ")|length }}", "20001"},
      {"{{ ('a'" + repeat(" + 'b'", n) + ")|length }}", "20001"},
      {"{{ 1" + repeat(" and 1", n) + " }}", "1"},
      {"{{ 1" + repeat(" == 1", n) + " }}", "True"},
      {"{{ 'a'" + repeat(".strip()", n) + " }}", "a"},
      {"{% if 0 %}" + repeat("{% elif 0 %}", n) + "{% else %}x{% endif %}", "x"},
      {"{{ [" + repeat("1,", n) + "]|length }}", "20000"},
      {"{{ x" + repeat(".a", n) + " }}", "error: chat template: line 1: 'x' is undefined"},
      {"{{ '" + repeat("{{ 1 }}", n) + "'|length }}", "140000"},
  };
  std::vector<std::string> sources;
  for (const auto& row : rows) sources.push_back(row.first);
  const std::vector<std::string> got = render_all(sources);
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == rows[i].second);
}

TEST_CASE("macros that call themselves end in an error", "[text][chat]") {
  const std::vector<std::string> sources = {
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(x) %}{% for i in [1] %}{% if 1 %}{{ [f(x)]|join }}{% endif %}{% endfor %}"
      "{% endmacro %}{{ f(1) }}",
      "{% macro f(x=f()) %}{% endmacro %}{{ f() }}",
      "{% macro f() %}{% call f() %}{% endcall %}{{ caller }}{% endmacro %}{{ f() }}",
  };
  for (const std::string& got : render_all(sources)) {
    CHECK(got.find("macros call each other more than 100 deep") != std::string::npos);
  }
}

// 2^100 long or deep, were it made.
std::string doubling(const std::string& start, const std::string& step, const std::string& use) {
  return "{% set ns = namespace(x=" + start + ") %}{% for i in range(100) %}{% set ns.x = " + step +
         " %}{% endfor %}{{ " + use + " }}";
}

TEST_CASE("every budget is met from several constructs", "[text][chat]") {
  struct Row {
    std::string source;
    const char* error;
  };
  const char* steps = "too many steps";
  const char* memory = "too much memory";
  const char* text = "more than 67108864 bytes";
  const char* deep = "nests values too deeply";
  const std::string loop = "{% for a in range(100000) %}{% for b in range(100000) %}";
  const std::string ends = "{% endfor %}{% endfor %}";
  const Row rows[] = {
      // steps
      {loop + ends, steps},
      {loop + "{% set x = a * b %}" + ends, steps},
      {loop + "{% if a == b %}{% endif %}" + ends, steps},
      {"{{ range(100000)|map('string')|select('in', range(100000)|list)|list }}", steps},
      {"{% macro f() %}{% for a in range(100000) %}{% endfor %}{% endmacro %}"
       "{% for b in range(1000) %}{{ f() }}{% endfor %}",
       steps},
      {"{% set x = 'a' * 60000000 %}{% for i in range(100000) %}{{ 'b' in x }}{% endfor %}", steps},
      {"{% set x = [0] * 100000 %}{% for i in range(100000) %}{{ x == x|list }}{% endfor %}",
       steps},
      {"{{ (range(100000)|list + range(100000)|list)|unique|list }}", steps},
      {doubling("[1]", "[ns.x, ns.x]", "ns.x"), deep},
      {"{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
       "{% endfor %}{{ ns.x == [ns.x[0], ns.x[0]] }}{{ ns.x }}",
       steps},
      {"{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
       "{% endfor %}{{ ns.x|tojson }}",
       steps},
      // memory
      {doubling("[1]", "ns.x + ns.x", "ns.x|length"), memory},
      {"{{ [0] * 1000000000000 }}", memory},
      {"{{ ([0] * 1000000) * 1000 }}", memory},
      {"{{ ('a' * 60000000)|list }}", memory},
      {"{{ ('a ' * 5000000).split()|length }}", memory},
      {"{% for i in range(1000) %}{% set x = 'ab' * 30000000 %}{% endfor %}", steps},
      {"{% for i in range(100) %}{% set x %}{{ 'ab' * 3000000 }}{% endset %}{% set y = x * 3 %}{% "
       "endfor %}",
       steps},
      {"{{ [1]|batch(1000000000, 0)|list }}", memory},
      // text
      {doubling("'a'", "ns.x + ns.x", "ns.x|length"), text},
      {doubling("'a'", "ns.x ~ ns.x", "ns.x|length"), text},
      {"{{ 'ab' * 1000000000000 }}", text},
      {"{{ 'a'.ljust(99999999999) }}", text},
      {"{{ 'a'|center(99999999999) }}", text},
      {"{{ ('a' * 60000)|replace('a', 'b' * 60000) }}", text},
      {"{{ ('a' * 60000)|join('b' * 60000) }}", text},
      {"{% set x = 'a' * 60000000 %}{{ x }}{{ x }}", text},
      {"{% for i in range(100000) %}{{ 'a' * 10000 }}{% endfor %}", text},
      {"{{ '%s%s'|format('a' * 40000000, 'a' * 40000000) }}", text},
      {"{{ ['\\x01' * 12000000]|tojson }}", text},
      // depth of values
      {doubling("[]", "[ns.x]", "1"), deep},
      {doubling("{}", "{'a': ns.x}", "1"), deep},
      {doubling("()", "(ns.x,)", "1"), deep},
      {"{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}", deep},
      {"{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns.me }}", deep},
      // range and nested filters
      {"{{ range(100001) }}", "range too big"},
      {"{{ range(-9223372036854775807, 9223372036854775807) }}", "range too big"},
      {"{{ 'a'|map(" + repeat("'map', ", 50) + "'upper')|list }}", "filters call each other"},
      {"{{ 9223372036854775807 + 1 }}", "more than 64 bits"},
      {"{{ 3 ** 1000 }}", "more than 64 bits"},
      {"{{ -9223372036854775807 - 2 }}", "more than 64 bits"},
      {"{{ (-9223372036854775807 - 1) // -1 }}", "more than 64 bits"},
  };
  std::vector<std::string> sources;
  for (const Row& row : rows) sources.push_back(row.source);
  const std::vector<std::string> got = render_all(sources);
  for (size_t i = 0; i < got.size(); ++i) {
    CAPTURE(sources[i].substr(0, 200), got[i].substr(0, 200));
    CHECK(got[i].find(rows[i].error) != std::string::npos);
  }
}

TEST_CASE("a conversation of 100,000 messages renders", "[text][chat]") {
  std::vector<ChatMessage> messages;
  std::string expected = "<s>";
  for (int i = 0; i < 100'000; ++i) {
    const bool user = i % 2 == 0;
    messages.push_back({user ? "user" : "assistant", "  text number " + std::to_string(i) + "\n"});
    expected += (user ? "<|user|>\ntext number " : "<|assistant|>\ntext number ") +
                std::to_string(i) + "</s>\n";
  }
  const std::string source =
      "{% set ns = namespace(n=0) %}"
      "{% for m in messages %}{% set ns.n = ns.n + 1 %}"
      "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}"
      "{% endif %}{% endfor %}{{ bos_token }}"
      "{% for m in messages %}"
      "{{ '<|' + m.role + '|>\n' + (m['content'] | trim) + eos_token + '\n' }}"
      "{% if loop.last and ns.n != 100000 %}wrong{% endif %}{% endfor %}";
  ChatOptions options;
  options.bos_token = "<s>";
  options.eos_token = "</s>";
  const std::string got = render_text(source, messages, options);
  CHECK(got.size() == expected.size());
  CHECK((got == expected));  // without printing them
}

TEST_CASE("a message of 32 MiB renders, one of 65 MiB says why not", "[text][chat]") {
  const std::string source = "{% for m in messages %}<{{ m.content | trim }}>{% endfor %}";
  const std::string large(size_t{32} << 20, 'x');
  const std::string got = render_text(source, {{"user", "  " + large + "  "}});
  CHECK(got.size() == large.size() + 2);
  const std::string larger(size_t{65} << 20, 'x');
  CHECK(render_text(source, {{"user", larger}}).find("more than 67108864 bytes") !=
        std::string::npos);
}

// reliability.md J1: none of these may reach anything; each prints nothing of a host or fails.
TEST_CASE("templates that look for the host find nothing", "[text][chat]") {
  const char* sources[] = {
      "{{ ''.__class__ }}",
      "{{ ''.__class__.__mro__[1].__subclasses__() }}",
      "{{ [].__class__.__base__.__subclasses__() }}",
      "{{ {}.__class__.__bases__[0] }}",
      "{{ ().__class__ }}",
      "{{ ''['__class__'] }}",
      "{{ ''|attr('__class__') }}",
      "{{ ''|attr('__class__')|attr('__mro__') }}",
      "{{ 'a'.__add__ }}",
      "{{ 'a'.__init__.__globals__ }}",
      "{{ self }}",
      "{{ self.__init__ }}",
      "{{ self._TemplateReference__context }}",
      "{{ config }}",
      "{{ config.items() }}",
      "{{ request.application.__globals__ }}",
      "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
      "{{ joiner.__init__.__globals__ }}",
      "{{ namespace.__init__.__globals__ }}",
      "{{ lipsum.__globals__['os'].popen('id').read() }}",
      "{{ lipsum() }}",
      "{{ url_for.__globals__ }}",
      "{{ get_flashed_messages.__globals__ }}",
      "{{ range.__class__ }}",
      "{{ dict.__class__ }}",
      "{{ dict.mro() }}",
      "{{ raise_exception.__globals__ }}",
      "{{ strftime_now.__self__ }}",
      "{{ messages.__class__ }}",
      "{{ messages[0].__class__ }}",
      "{{ loop }}",
      "{% for x in [1] %}{{ loop.__class__ }}{{ loop._iterator }}{% endfor %}",
      "{% macro m() %}{% endmacro %}{{ m.__globals__ }}{{ m._func }}",
      "{{ '{0.__class__}'.format('') }}",
      "{{ '{x.__init__.__globals__}'.format(x=cycler) }}",
      "{{ '%s' % ''.__class__ }}",
      "{{ ''|map(attribute='__class__')|list }}",
      "{{ ['']|map(attribute='__class__')|list }}",
      "{{ ['']|map('attr', '__class__')|list }}",
      "{{ ['']|groupby('__class__') }}",
      "{{ open('/etc/passwd').read() }}",
      "{{ __import__('os') }}",
      "{{ eval('1') }}",
      "{{ exec('1') }}",
      "{{ getattr('', '__class__') }}",
      "{{ namespace(__class__=1) }}",
      "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
      "{% include '/etc/passwd' %}",
      "{% import 'os' as os %}",
      "{% extends '/etc/passwd' %}",
      "{% from 'os' import popen %}",
  };
  for (const char* source : sources) {
    CAPTURE(source);
    const std::string got = render_text(source, {{"user", "x"}});
    const bool failed = got.substr(0, 7) == "error: ";
    CHECK((failed || got.find("class") == std::string::npos));
    CHECK((failed || got.size() < 40));
  }
}

TEST_CASE("contents with template syntax are data", "[text][chat]") {
  const std::string source = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
  for (const char* content :
       {"${x}", "{{ 1/0 }}", "{% if %}", "{#", "%}", "}}", "{%- raw -%}", "{{ raise_exception() }}",
        "\xff\xfe", "\xed\xa0\x80", "\xf0\x9f", "{\x00{", "%s%n", "\\u0000"}) {
    CHECK(render_text(source, {{"user", content}}) == "[" + std::string(content) + "]");
  }
}

TEST_CASE("one template renders in several threads at once", "[text][chat]") {
  const ChatTemplate chat = ChatTemplate::parse(
      "{% macro f(x) %}{{ x|upper }}{% endmacro %}{% for m in messages %}{{ f(m.content) ~ 'é'[0] "
      "}}"
      "{{ 'literal'[1:3] }}{% endfor %}");
  std::vector<std::thread> threads;
  std::vector<int> good(4, 0);
  for (size_t t = 0; t < good.size(); ++t) {
    threads.emplace_back([&, t] {
      const std::string content = "thread " + std::to_string(t);
      const std::string expected = "THREAD " + std::to_string(t) + "éit";
      const ChatMessage message{"user", content};
      for (int i = 0; i < 200; ++i)
        good[t] += prompt_text(chat.render({&message, 1}, {})) == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int n : good) CHECK(n == 200);
}

}  // namespace
}  // namespace nibble::test
