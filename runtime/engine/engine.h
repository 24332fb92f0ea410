#pragma once
// An opened model: file, weights, tokenizer, chat template. Immutable, shared by any number of
// threads and sessions.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "formats/io/mapped_file.h"
#include "formats/tensor_file.h"
#include "quant/kernels/kernels.h"
#include "runtime/engine/memory_plan.h"
#include "runtime/engine/sampler.h"
#include "runtime/text/chat.h"
#include "runtime/text/tokenizer.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/thread_source.h"

namespace nibble {

struct Model;

struct EngineOptions {
  std::string isa;     // kernel table by name; empty: the best this CPU has
  bool repack = true;  // rearrange the weights for the kernels, where memory allows
  /// Bring weights that stay in the file into memory; without, each comes when it is first used.
  bool page_in = true;
  /// Read the file into memory instead of mapping it, for drives that come and go. Takes the file's
  /// size of memory beside rearranged weights.
  bool in_memory = false;
  int n_threads = 0;           // for that; 0: what suits the machine
  ThreadSource thread_source;  // where they come from
  /// Called with bytes done and bytes in all, from the calling thread; may be empty.
  std::function<void(uint64_t done, uint64_t total)> on_progress;
  const CancelToken* cancel = nullptr;  // not owned; checked while opening
};

/// How the file is opened: with what EngineOptions mean for it.
using FileOpener = std::function<TensorFile(const FileOptions&)>;
/// The opener of a path. Errors: as open_tensor_file; out_of_memory (in_memory).
TensorFile open_model_file(const std::string& path, const FileOptions& options);

class Engine {
 public:
  /// Errors: not_found, io (also: the file was written to or truncated meanwhile), bad_file,
  /// unsupported (architecture, tensor type, tokenizer, isa), out_of_memory (in_memory), cancelled.
  static std::shared_ptr<const Engine> open(const std::string& path, const EngineOptions& = {});
  /// Of a file that is not opened by its path. Errors: the opener's, and those of open().
  static std::shared_ptr<const Engine> open_with(const FileOpener& opener,
                                                 const EngineOptions& = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const TensorFile& file() const noexcept { return file_; }
  const Model& model() const noexcept { return *model_; }
  const Tokenizer& tokenizer() const noexcept { return *tokenizer_; }
  const KernelTable& kernels() const noexcept { return *kernels_; }
  /// nullptr: a base model, or a template that does not parse (see template_problem()).
  const ChatTemplate* chat_template() const noexcept { return template_.get(); }
  const std::string& template_problem() const noexcept { return template_problem_; }
  /// The file's general.sampling.*, over the built-in defaults.
  const SamplerOptions& sampling() const noexcept { return sampling_; }

  int64_t n_vocab() const noexcept;
  int64_t n_ctx_train() const noexcept;
  int64_t n_embd() const noexcept;
  std::string description() const;  // "llama 135M Q4_1"
  int64_t n_params() const noexcept;

  /// What a session of this size needs. n_ctx 0: the model's own, limited to what fits.
  /// n_threads 0: what suits the machine.
  MemoryPlan plan(int64_t n_ctx, int64_t n_batch, KvType kv_type, int n_threads = 0) const;

 private:
  Engine();
  void open_file(const FileOpener& opener, const EngineOptions&);
  void read_model(const EngineOptions&);
  void repack(const EngineOptions&);
  void page_in_mapped(const EngineOptions&);

  TensorFile file_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> template_;
  std::string template_problem_;
  const KernelTable* kernels_ = nullptr;
  SamplerOptions sampling_;
};

}  // namespace nibble
