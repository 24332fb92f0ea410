#pragma once
// Opening a model for a command: name to path, progress bar, Ctrl-C, exit codes.
#include <memory>
#include <string>
#include <vector>

#include "formats/io/error.h"
#include "runtime/engine/engine.h"
#include "tools/interrupt.h"
#include "tools/options.h"
#include "tools/terminal.h"

namespace nibble {

struct OpenedModel {
  std::shared_ptr<const Engine> engine;
  std::string path;
  double seconds = 0;  // it took to open
};

/// -m, or else the first positional argument, which is taken out of the list.
/// Errors: CommandError usage if neither is there.
std::string take_model_name(const ModelOptions& options, std::vector<std::string>* positionals,
                            const char* command);

/// n_threads rearrange the weights; 0: what suits the machine.
/// Errors: CommandError (model, interrupted, memory).
OpenedModel open_model(const std::string& name_or_path, const ModelOptions& options, int n_threads,
                       const Terminal& terminal, Interrupt& interrupt);

/// open_tensor_file(path), by all threads where the file is an archive. Errors: the same.
TensorFile open_in_parallel(const std::string& path);

/// A file alone, for commands that look at or rewrite it. Errors: CommandError model.
TensorFile open_input(const std::string& name_or_path);

/// A file and its tokenizer, without the model: works for architectures nibble does not run.
struct TokenizerFile {
  TensorFile file;
  std::unique_ptr<Tokenizer> tokenizer;
};
/// Errors: CommandError model.
TokenizerFile open_tokenizer(const std::string& name_or_path);

/// A session for it. Errors: CommandError (memory, usage).
Session open_session(const OpenedModel& model, const ContextOptions& options);

/// Rethrows a library error from opening as CommandError with ExitCode::model where it fits.
[[noreturn]] void rethrow_open_error(const Error& error);

/// All bytes of a file, at most 256 MiB. "-" is standard input. Errors: CommandError runtime.
std::string read_text_file(const std::string& path);
/// Standard input to its end, as much at most. Errors: CommandError runtime, interrupted.
std::string read_stdin();
/// Is something piped or redirected into standard input that has to be read?
bool stdin_has_text();

}  // namespace nibble
