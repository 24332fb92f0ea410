// The only file that sees CLI11. Messages are ours, so that every tool says the same in one line.
#include "tools/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "tools/exit_code.h"
#include "tools/output.h"
#include "tools/suggest.h"

namespace nibble {
namespace {

constexpr const char* kGroupTitles[] = {"Model",       "Prompt", "Sampling", "Chat",
                                        "Performance", "Output", "Advanced"};
constexpr size_t kHelpColumn = 34;
constexpr size_t kHelpWidth = 100;

std::vector<std::string> split_names(const std::string& names) {
  std::vector<std::string> out;
  size_t begin = 0;
  while (begin <= names.size()) {
    const size_t end = std::min(names.find(',', begin), names.size());
    out.push_back(names.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

bool is_single_dash_word(const std::string& name) {
  return name.size() > 2 && name[0] == '-' && name[1] != '-';
}

/// "--ctx-size" of "-c,--ctx-size".
std::string long_name(const Option& option) {
  return split_names(option.names).back();
}

/// Names that CLI11 can hold.
std::string cli_names(const Option& option) {
  std::string out;
  for (const std::string& name : split_names(option.names)) {
    if (is_single_dash_word(name)) continue;
    if (!out.empty()) out += ',';
    out += name;
  }
  return out;
}

/// The first line starts at column `at`; later ones are indented by kHelpColumn.
std::string wrap(const std::string& text, size_t at) {
  std::string out;
  size_t column = at;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (column > kHelpColumn && column + 1 + word.size() > kHelpWidth) {
      out += '\n' + std::string(kHelpColumn, ' ');
      column = kHelpColumn;
    } else if (column > kHelpColumn) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    begin = end + 1;
  }
  return out;
}

std::string option_line(const Option& option) {
  std::string left = "  ";
  for (const std::string& name : split_names(option.names)) {
    if (left.size() > 2) left += ", ";
    left += name;
  }
  if (!option.value.empty()) left += ' ' + option.value;
  if (left.size() + 2 > kHelpColumn) {
    left += '\n' + std::string(kHelpColumn, ' ');
  } else {
    left.resize(kHelpColumn, ' ');
  }
  return left + wrap(option.help, kHelpColumn) + '\n';
}

}  // namespace

void CommandLine::add(Option option) {
  options_.push_back(std::move(option));
}

void CommandLine::positionals(std::vector<std::string>* out, size_t most) {
  positionals_ = out;
  most_ = most;
}

std::vector<std::string> CommandLine::normalize(std::span<const std::string> args) const {
  std::vector<std::string> out;
  bool options_ended = false;
  for (const std::string& arg : args) {
    std::string replaced = arg;
    if (arg == "--") options_ended = true;
    if (!options_ended && is_single_dash_word(arg)) {
      for (const Option& option : options_) {
        for (const std::string& name : split_names(option.names)) {
          if (name.compare(0, 2, "--") == 0) continue;
          if (arg == name) replaced = long_name(option);
          if (arg.compare(0, name.size() + 1, name + "=") == 0) {
            replaced = long_name(option) + arg.substr(name.size());
          }
        }
      }
    }
    out.push_back(std::move(replaced));
  }
  return out;
}

void CommandLine::unknown_option(const std::string& arg) const {
  const std::string written = arg.substr(0, arg.find('=', 2));
  std::vector<std::string> known = {"--help"};
  for (const Option& option : options_) {
    for (std::string& name : split_names(option.names)) known.push_back(std::move(name));
  }
  const std::string near = written.size() > 2 ? nearest(written, known) : std::string();
  usage_error(fmt::format("nibble {}: unknown option {}", command_.name, written),
              near.empty() ? fmt::format("`nibble {} --help` lists the options", command_.name)
                           : fmt::format("did you mean {}?", near));
}

bool CommandLine::parse(std::span<const std::string> args) const {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  bool help_wanted = false;
  app.add_flag_callback("-h,--help", [&] { help_wanted = true; });

  // Setters run after everything was read: --help wins over a bad value.
  std::vector<std::pair<const Option*, std::vector<std::string>>> given;
  for (const Option& option : options_) {
    if (option.value.empty()) {
      app.add_flag_callback(cli_names(option),
                            [&given, &option] {
                              given.push_back({&option, {""}});
                            })
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
      continue;
    }
    const auto keep = [&given, &option](const CLI::results_t& values) {
      given.push_back({&option, values});
      return true;
    };
    app.add_option(cli_names(option), keep)
        ->expected(1)
        ->multi_option_policy(option.repeatable ? CLI::MultiOptionPolicy::TakeAll
                                                : CLI::MultiOptionPolicy::TakeLast);
  }

  // What follows "--" is not looked at.
  const auto end = std::find(args.begin(), args.end(), "--");
  std::vector<std::string> reversed = normalize({args.begin(), end});
  std::reverse(reversed.begin(), reversed.end());  // CLI11 takes a vector last argument first
  try {
    app.parse(reversed);
  } catch (const CLI::ArgumentMismatch& e) {
    const std::string what = e.what();  // "--long-name: ..."
    std::string name = what.substr(0, what.find(':'));
    for (const Option& option : options_) {
      if (long_name(option) == name) name = option.names;
    }
    usage_error(fmt::format("nibble {}: {} needs a value", command_.name, name),
                fmt::format("`nibble {} --help` shows what each option takes", command_.name));
  } catch (const CLI::ParseError& e) {
    usage_error(fmt::format("nibble {}: {}", command_.name, e.what()));
  }
  if (help_wanted) {
    Output out;
    out.write(help());
    out.flush();
    return false;
  }

  std::vector<std::string> rest = app.remaining();
  for (const std::string& arg : rest) {
    if (arg.size() > 1 && arg[0] == '-') unknown_option(arg);
  }
  if (end != args.end()) rest.insert(rest.end(), end + 1, args.end());
  const size_t most = positionals_ == nullptr ? 0 : most_;
  if (rest.size() > most) {
    usage_error(fmt::format("nibble {}: unexpected argument '{}'", command_.name, rest[most]),
                fmt::format("usage: nibble {} {}", command_.name, command_.usage));
  }
  for (const auto& [option, values] : given) {
    for (const std::string& value : values) option->set(long_name(*option), value);
  }
  if (positionals_ != nullptr) *positionals_ = std::move(rest);
  return true;
}

std::string CommandLine::help() const {
  std::string out =
      fmt::format("{}\n\nUsage: nibble {} {}\n", command_.summary, command_.name, command_.usage);
  if (command_.examples[0] != '\0') {
    out += "\nExamples:\n  ";
    for (const char* c = command_.examples; *c != '\0'; ++c) {
      out += *c;
      if (*c == '\n' && c[1] != '\0') out += "  ";
    }
    if (out.back() != '\n') out += '\n';
  }
  for (size_t group = 0; group < std::size(kGroupTitles); ++group) {
    std::string lines;
    for (const Option& option : options_) {
      if (static_cast<size_t>(option.group) == group) lines += option_line(option);
    }
    if (group == static_cast<size_t>(OptionGroup::output)) {
      lines += option_line({"-h,--help", "", "show this help", OptionGroup::output, {}, false});
    }
    if (!lines.empty()) out += fmt::format("\n{}:\n{}", kGroupTitles[group], lines);
  }
  if (!more_help_.empty()) out += "\n" + more_help_;
  return out;
}

}  // namespace nibble
