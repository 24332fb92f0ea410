// nibble tokenize: text to token ids, or how many there are.
#include <fmt/format.h>

#include "tools/chat_file.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/quote_text.h"
#include "tools/token_count.h"

namespace nibble {
namespace {

struct TokenizeOptions {
  std::string file, chat;
  bool ids_only = false, no_bos = false, special = false, count = false, many = false;
  std::optional<TokenPrices> prices;
};

void declare(CommandLine& line, TokenizeOptions* out, std::vector<std::string>* positionals) {
  using Text = std::string_view;
  line.add({"-f,--file", "FILE", "file with the text; - is standard input", OptionGroup::prompt,
            [=](Text, Text text) { out->file = text; }});
  line.add({"-p,--prompt", "TEXT", "the text, like the argument", OptionGroup::prompt,
            [=](Text, Text text) { positionals->assign(1, std::string(text)); }});
  line.add(
      {"--chat", "FILE.json",
       "a conversation (a list of {\"role\", \"content\"}), as the model's template renders it",
       OptionGroup::prompt, [=](Text, Text text) { out->chat = text; }});
  line.add({"--no-bos", "", "leave out the tokens that the model puts around a text",
            OptionGroup::prompt, [=](Text, Text) { out->no_bos = true; }});
  line.add({"--special", "", "read special tokens written in the text (<|im_end|>) as such",
            OptionGroup::prompt, [=](Text, Text) { out->special = true; }});
  line.add({"-0,--null", "", "many texts, each ended by a zero byte: a line of numbers for each",
            OptionGroup::prompt, [=](Text, Text) { out->many = true; }});
  line.add({"--ids", "", "print the numbers alone", OptionGroup::output,
            [=](Text, Text) { out->ids_only = true; }});
  line.add({"--count", "", "how many tokens, of how long a context, for how many words",
            OptionGroup::output, [=](Text, Text) { out->count = true; }});
  line.add({"--price", "IN OUT", "with --count: what they cost at these prices of a million tokens",
            OptionGroup::output,
            [=](Text flag, Text text) { out->prices = price_values(flag, text); }});
}

// "--price IN OUT" as one value: an option takes one.
std::vector<std::string> join_prices(std::span<const std::string> args) {
  std::vector<std::string> out;
  for (size_t i = 0; i < args.size(); ++i) {
    out.push_back(args[i]);
    if (args[i] != "--price" || args.size() - i < 3) continue;
    if (args[i + 1].find(',') != std::string::npos) continue;
    out.push_back(args[i + 1] + "," + args[i + 2]);
    i += 2;
  }
  return out;
}

std::string read_text(const TokenizeOptions& options, const std::vector<std::string>& positionals) {
  const size_t n_sources =
      positionals.size() + (options.file.empty() ? 0 : 1) + (options.chat.empty() ? 0 : 1);
  if (n_sources > 1) {
    usage_error("nibble tokenize: expected one text, got several",
                "give TEXT, -p TEXT, -f FILE or --chat FILE.json");
  }
  if (!options.chat.empty()) return read_text_file(options.chat);
  if (!options.file.empty()) return read_text_file(options.file);
  if (!positionals.empty()) return positionals.front();
  if (stdin_has_text()) return read_stdin();
  usage_error("nibble tokenize: expected a text", "give TEXT, -f FILE or pipe it in");
}

void check(const TokenizeOptions& options) {
  if (options.prices && !options.count) {
    usage_error("nibble tokenize: --price: expected --count beside it", "add --count");
  }
  if (options.many && (options.count || !options.chat.empty())) {
    usage_error("nibble tokenize: -0: expected neither --count nor --chat beside it");
  }
  if (options.ids_only && options.count) {
    usage_error("nibble tokenize: expected either --ids or --count, got both");
  }
}

void write_ids(Output& out, const std::vector<int32_t>& ids) {
  for (size_t i = 0; i < ids.size(); ++i) {
    out.write(fmt::format("{}{}", i == 0 ? "" : " ", ids[i]));
  }
  out.write("\n");
}

void write_many(const Tokenizer& tokenizer, const TokenizeOptions& options, std::string_view text) {
  Output out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\0'), text.size());
    write_ids(out, tokenizer.encode(text.substr(0, end), !options.no_bos, options.special));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  out.flush();
}

int run(const Command& self, std::span<const std::string> args) {
  ModelOptions model_options;
  TokenizeOptions options;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_model_options(line, &model_options);
  declare(line, &options, &positionals);
  std::vector<std::string> rest;
  line.positionals(&rest, 2);
  if (!line.parse(join_prices(args))) return 0;
  positionals.insert(positionals.begin(), rest.begin(), rest.end());
  const std::string name = take_model_name(model_options, &positionals, "tokenize");
  check(options);
  std::string text = read_text(options, positionals);

  const TokenizerFile opened = open_tokenizer(name);
  const Tokenizer& tokenizer = *opened.tokenizer;
  if (options.many) {
    write_many(tokenizer, options, text);
    return 0;
  }
  std::vector<int32_t> ids;
  if (options.chat.empty()) {
    ids = tokenizer.encode(text, !options.no_bos, options.special);
  } else {
    const auto segments =
        render_chat(opened.file.meta(), tokenizer, parse_messages(text, options.chat));
    std::vector<TextSpan> spans;
    for (const PromptSegment& s : segments) spans.push_back({s.text, s.from_template});
    ids = tokenizer.encode(spans, false);
    text = prompt_text(segments);
  }
  Output out;
  if (options.count) {
    const TokenCount count = count_of(text, static_cast<int64_t>(ids.size()), opened.file.meta());
    out.write(format_count(count, options.prices));
  } else if (options.ids_only) {
    write_ids(out, ids);
  } else {
    for (const int32_t id : ids) {
      out.write(fmt::format("{:>7}  {}\n", id, quote_text(tokenizer.piece(id, true))));
    }
  }
  out.flush();
  return 0;
}

}  // namespace

const Command cmd_tokenize = {
    "tokenize",
    "Show or count the tokens of a text.",
    "-m MODEL [--ids | --count [--price IN OUT]] [--no-bos] [--special]\n"
    "                       [-0] [--chat FILE.json | -f FILE | TEXT]",
    "nibble tokenize -m model.gguf \"Hello world\"\n"
    "nibble tokenize -m model.gguf --ids --no-bos -f notes.txt\n"
    "nibble tokenize -m model.gguf --count --price 0.15 0.60 -f notes.txt\n"
    "nibble tokenize -m model.gguf --count --chat conversation.json\n"
    "echo \"Hello\" | nibble tokenize -m model.gguf --ids\n",
    false,
    run,
};

}  // namespace nibble
