#pragma once
// A row of the table of subcommands (main.cpp).
#include <span>
#include <string>

namespace nibble {

struct Command {
  const char* name;
  const char* summary;   // one line for the list of commands
  const char* usage;     // what follows "nibble NAME"
  const char* examples;  // lines, without indentation
  bool common;           // shown by the short help
  /// args: what follows the command's name. Returns the exit code; errors as CommandError, Error.
  int (*run)(const Command& self, std::span<const std::string> args);
};

extern const Command cmd_chat, cmd_run, cmd_tokenize, cmd_inspect, cmd_logits, cmd_perplexity,
    cmd_bench, cmd_doctor, cmd_pack, cmd_quantize, cmd_imatrix, cmd_compare, cmd_convert,
    cmd_verify, cmd_split, cmd_merge, cmd_archive, cmd_embed;

}  // namespace nibble
