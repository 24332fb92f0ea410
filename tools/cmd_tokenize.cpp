// nibble tokenize: text to token ids.
#include <fmt/format.h>

#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/open_model.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/quote_text.h"

namespace nibble {
namespace {

int run(const Command& self, std::span<const std::string> args) {
  ModelOptions model_options;
  std::string file;
  bool ids_only = false, no_bos = false, special = false;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_model_options(line, &model_options);
  using Text = std::string_view;
  line.add({"-f,--file", "FILE", "file with the text; - is standard input", OptionGroup::prompt,
            [&](Text, Text text) { file = text; }});
  line.add({"-p,--prompt", "TEXT", "the text, like the argument", OptionGroup::prompt,
            [&](Text, Text text) { positionals.assign(1, std::string(text)); }});
  line.add({"--no-bos", "", "leave out the tokens that the model puts around a text",
            OptionGroup::prompt, [&](Text, Text) { no_bos = true; }});
  line.add({"--special", "", "read special tokens written in the text (<|im_end|>) as such",
            OptionGroup::prompt, [&](Text, Text) { special = true; }});
  line.add({"--ids", "", "print the numbers alone", OptionGroup::output,
            [&](Text, Text) { ids_only = true; }});
  std::vector<std::string> rest;
  line.positionals(&rest, 2);
  if (!line.parse(args)) return 0;
  positionals.insert(positionals.begin(), rest.begin(), rest.end());

  const std::string name = take_model_name(model_options, &positionals, "tokenize");
  if (positionals.size() > 1 || (!positionals.empty() && !file.empty())) {
    usage_error("nibble tokenize: expected one text, got several", "give TEXT, -p TEXT or -f FILE");
  }
  std::string text;
  if (!file.empty()) {
    text = read_text_file(file);
  } else if (!positionals.empty()) {
    text = positionals.front();
  } else if (stdin_has_text()) {
    text = read_stdin();
  } else {
    usage_error("nibble tokenize: expected a text", "give TEXT, -f FILE or pipe it in");
  }

  const TokenizerFile opened = open_tokenizer(name);
  const Tokenizer& tokenizer = *opened.tokenizer;
  const std::vector<int32_t> ids = tokenizer.encode(text, !no_bos, special);
  Output out;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids_only) {
      out.write(fmt::format("{}{}", i == 0 ? "" : " ", ids[i]));
    } else {
      out.write(fmt::format("{:>7}  {}\n", ids[i], quote_text(tokenizer.piece(ids[i], true))));
    }
  }
  if (ids_only) out.write("\n");
  out.flush();
  return 0;
}

}  // namespace

const Command cmd_tokenize = {
    "tokenize",
    "Show the tokens of a text.",
    "-m MODEL [--ids] [--no-bos] [--special] [-f FILE | TEXT]",
    "nibble tokenize -m model.gguf \"Hello world\"\n"
    "nibble tokenize -m model.gguf --ids --no-bos -f notes.txt\n"
    "echo \"Hello\" | nibble tokenize -m model.gguf --ids\n",
    false,
    run,
};

}  // namespace nibble
