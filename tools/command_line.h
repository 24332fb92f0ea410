#pragma once
// The options of one command: declared once with names, help and a setter, parsed by CLI11, printed
// in groups by --help, compared with what the user wrote when it is unknown.
//
// Names as users know them from other programs include long ones with a single dash (-ub, -sys,
// -ctk). CLI11 reads those as bundles of one-letter flags, so they are rewritten to their
// double-dash spelling first.
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/command.h"

namespace nibble {

/// Groups of --help, in this order.
enum class OptionGroup { model, prompt, sampling, chat, performance, output, advanced };

struct Option {
  std::string names;  // "-c,--ctx-size": the long one comes last; "-ub" style names allowed
  std::string value;  // what the help calls the value; empty: a flag without one
  std::string help;   // with the default
  OptionGroup group = OptionGroup::output;
  /// Takes the text of the value ("" for a flag). flag: the name to use in messages.
  /// Errors: CommandError usage.
  std::function<void(std::string_view flag, std::string_view text)> set;
  bool repeatable = false;  // set is called for each; else the last one counts
};

class CommandLine {
 public:
  explicit CommandLine(const Command& command) : command_(command) {}
  void add(Option option);
  /// Arguments without a dash go here, `most` at most.
  void positionals(std::vector<std::string>* out, size_t most);
  /// Text at the end of the help.
  void add_help(std::string text) { more_help_ = std::move(text); }
  /// Returns false if --help was asked for and has been printed. Errors: CommandError usage.
  bool parse(std::span<const std::string> args) const;
  /// Usage, examples, options by group.
  std::string help() const;

 private:
  std::vector<std::string> normalize(std::span<const std::string> args) const;
  [[noreturn]] void unknown_option(const std::string& arg) const;

  const Command& command_;
  std::vector<Option> options_;
  std::vector<std::string>* positionals_ = nullptr;
  size_t most_ = 0;
  std::string more_help_;
};

}  // namespace nibble
