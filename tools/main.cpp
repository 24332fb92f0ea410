// The `nibble` command: a table of subcommands, and the one place where errors become exit codes.
#include <fmt/format.h>

#include <csignal>
#include <cstring>
#include <new>
#include <vector>

#include "tools/command.h"
#include "tools/exit_code.h"
#include "tools/output.h"
#include "tools/suggest.h"

namespace nibble {
namespace {

constexpr const Command* kCommands[] = {
    &cmd_chat,    &cmd_run,    &cmd_inspect, &cmd_tokenize, &cmd_logits,  &cmd_perplexity,
    &cmd_bench,   &cmd_doctor, &cmd_pack,    &cmd_quantize, &cmd_imatrix, &cmd_compare,
    &cmd_convert, &cmd_verify, &cmd_split,   &cmd_merge,    &cmd_archive, &cmd_embed,
};

int print(const std::string& text) {
  Output out;
  out.write(text);
  out.flush();
  return static_cast<int>(ExitCode::ok);
}

std::string overview(bool all) {
  std::string text =
      "nibble runs quantized language models on this computer's CPU, offline.\n\n"
      "Usage: nibble COMMAND [OPTION]...\n\nCommands:\n";
  for (const Command* command : kCommands) {
    if (all || command->common)
      text += fmt::format("  {:<12}{}\n", command->name, command->summary);
  }
  text +=
      "\nExamples:\n"
      "  nibble chat\n"
      "  nibble run model.gguf \"Why is the sky blue?\"\n"
      "  nibble inspect model.gguf\n\n"
      "`nibble help COMMAND` explains a command, `nibble help all` all of them.\n";
  return text;
}

const Command* find_command(const std::string& name) {
  for (const Command* command : kCommands) {
    if (name == command->name) return command;
  }
  return nullptr;
}

[[noreturn]] void unknown_command(const std::string& name) {
  std::vector<std::string> known = {"help"};
  for (const Command* command : kCommands) known.emplace_back(command->name);
  const std::string near = nearest(name, known);
  usage_error(fmt::format("nibble: unknown command '{}'", name),
              near.empty() ? "`nibble help` lists the commands"
                           : fmt::format("did you mean `nibble {}`?", near));
}

int help(const std::vector<std::string>& args) {
  if (args.empty()) return print(overview(true));
  const std::vector<std::string> help_flag = {"--help"};
  if (args[0] != "all") {
    const Command* command = find_command(args[0]);
    if (command == nullptr) unknown_command(args[0]);
    return command->run(*command, help_flag);
  }
  print(overview(true));
  for (const Command* command : kCommands) {
    print(fmt::format("\n{}\nnibble {}: ", std::string(72, '-'), command->name));
    command->run(*command, help_flag);
  }
  return static_cast<int>(ExitCode::ok);
}

int dispatch(std::vector<std::string> args) {
  if (args.empty()) return print(overview(false));
  const std::string name = args.front();
  args.erase(args.begin());
  if (name == "help" || name == "--help" || name == "-h") return help(args);
  if (name == "--version" || name == "version") return print("nibble " NIBBLE_VERSION "\n");
  const Command* command = find_command(name);
  if (command == nullptr) {
    if (name[0] == '-') {
      usage_error(fmt::format("nibble: expected a command before {}", name),
                  "`nibble help` lists the commands");
    }
    unknown_command(name);
  }
  return command->run(*command, args);
}

int report(ExitCode code, std::string_view message, std::string_view hint) {
  write_stderr(format_error(code, message, hint));
  return static_cast<int>(code);
}

}  // namespace

}  // namespace nibble

int main(int argc, char** argv) {
  using namespace nibble;
  reserve_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return dispatch({argv + (argc > 0 ? 1 : 0), argv + argc});
  } catch (const BrokenPipe&) {
    std::signal(SIGPIPE, SIG_DFL);
    std::raise(SIGPIPE);
    return static_cast<int>(ExitCode::runtime);
  } catch (const CommandError& e) {
    return report(e.code(), e.message(), e.hint());
  } catch (const Error& e) {
    return report(exit_code_of(e.code()), e.message(), e.hint());
  } catch (const std::bad_alloc&) {
    return report(ExitCode::memory, "memory: the system has no more", {});
  } catch (const std::exception& e) {
    return report(ExitCode::runtime, std::string("internal: ") + e.what(),
                  "this is a bug of nibble; please report it with the command line");
  }
}
