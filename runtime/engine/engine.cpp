#include "runtime/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "runtime/model/model.h"
#include "runtime/model/pack.h"
#include "runtime/model/page_in.h"
#include "runtime/model/sequence_state.h"
#include "runtime/model/workspace.h"
#include "runtime/text/throw_if_cancelled.h"
#include "runtime/threads/fault_signal.h"
#include "runtime/threads/float_environment.h"
#include "runtime/threads/parallel_for.h"
#include "runtime/threads/team.h"

namespace nibble {

namespace {

const KernelTable* choose_kernels(const std::string& isa) {
  if (isa.empty() || isa == "auto") return best_kernels();
  const KernelTable* table = kernels_named(isa.c_str());
  if (table != nullptr && table->supported()) return table;
  int count = 0;
  std::string known;
  for (const KernelTable* const* row = all_kernels(&count); count > 0; ++row, --count) {
    if (!(*row)->supported()) continue;
    if (!known.empty()) known += ", ";
    known += (*row)->name;
  }
  fail(table == nullptr ? ErrorCode::bad_argument : ErrorCode::unsupported,
       "isa: expected one that this CPU runs ({}), got {}", known, isa);
}

/// "135M", "1.2B"
std::string short_count(int64_t n) {
  if (n >= 1'000'000'000) return fmt::format("{:.1f}B", static_cast<double>(n) / 1e9);
  if (n >= 1'000'000) return fmt::format("{:.0f}M", static_cast<double>(n) / 1e6);
  return fmt::format("{:.0f}K", static_cast<double>(n) / 1e3);
}

/// The type that holds the most bytes among the matrices.
const char* main_type(const TensorFile& file) {
  std::vector<std::pair<uint32_t, uint64_t>> sums;
  for (const TensorInfo& t : file.tensors()) {
    if (t.n_dims < 2 || t.name == "token_embd.weight") continue;
    auto it = std::find_if(sums.begin(), sums.end(),
                           [&t](const auto& s) { return s.first == t.type_id; });
    if (it == sums.end()) it = sums.insert(sums.end(), {t.type_id, 0});
    it->second += t.bytes;
  }
  const auto best = std::max_element(
      sums.begin(), sums.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const char* name = best == sums.end() ? nullptr : dtype_ecosystem_name(best->first);
  return name != nullptr ? name : "?";
}

}  // namespace

TensorFile open_model_file(const std::string& path, const FileOptions& options) {
  if (options.in_memory) require_memory_for(path, open_tensor_file(path).file_bytes().size());
  return open_tensor_file(path, options);
}

Engine::Engine() = default;
Engine::~Engine() = default;

std::shared_ptr<const Engine> Engine::open(const std::string& path, const EngineOptions& options) {
  return open_with([&](const FileOptions& how) { return open_model_file(path, how); }, options);
}

std::shared_ptr<const Engine> Engine::open_with(const FileOpener& opener,
                                                const EngineOptions& options) {
  const DefaultFloatEnvironment as_compiled;
  const FaultSignalOpen faults;
  const KernelTable* kernels = choose_kernels(options.isa);
  throw_if_cancelled(options.cancel);
  std::shared_ptr<Engine> engine(new Engine);
  engine->kernels_ = kernels;
  engine->open_file(opener, options);
  try {
    engine->read_model(options);
  } catch (const Error& e) {
    // Of a file that changed meanwhile, the rest is a consequence.
    if (e.code() != ErrorCode::cancelled) engine->file_.require_unchanged();
    throw;
  }
  engine->file_.require_unchanged();
  const uint64_t total = engine->file_.file_bytes().size();
  if (options.on_progress) options.on_progress(total, total);
  return engine;
}

void Engine::open_file(const FileOpener& opener, const EngineOptions& options) {
  FileOptions how;
  how.in_memory = options.in_memory;
  how.on_read = [&options](uint64_t done, uint64_t total) {
    throw_if_cancelled(options.cancel);
    if (options.on_progress) options.on_progress(done, total);
  };
  how.parallel = parallel_for(options.n_threads, options.thread_source);
  file_ = opener(how);
}

void Engine::read_model(const EngineOptions& options) {
  if (options.on_progress) options.on_progress(0, file_.file_bytes().size());
  throw_if_cancelled(options.cancel);
  model_ = std::make_unique<Model>(load_model(file_));
  throw_if_cancelled(options.cancel);
  tokenizer_ = Tokenizer::from_metadata(file_.meta(), options.cancel);
  if (tokenizer_->n_vocab() != n_vocab()) {
    fail(ErrorCode::bad_file, "{}: tensor token_embd.weight: expected {} rows, one a token, got {}",
         file_.path(), tokenizer_->n_vocab(), n_vocab());
  }
  throw_if_cancelled(options.cancel);
  sampling_.apply_metadata(file_.meta());
  if (const auto source = file_.meta().get_string("tokenizer.chat_template")) {
    try {
      template_ = std::make_unique<ChatTemplate>(ChatTemplate::parse(*source));
    } catch (const Error& e) {
      template_problem_ = e.message();
    }
  }
  repack(options);
  page_in_mapped(options);
}

void Engine::repack(const EngineOptions& options) {
  if (!options.repack || !kernels_->takes_packed) return;
  const int64_t to_pack = packed_bytes(*model_);
  if (to_pack == 0) return;  // a packed file
  // The file's pages can always be given back; packed weights cannot.
  constexpr int64_t kSmallContext = 512;
  const MemoryPlan small =
      plan(kSmallContext, kSmallContext, kernels_->default_kv, options.n_threads);
  const int64_t needed = to_pack + small.kv + small.scratch;
  if (small.available >= 0 && needed > small.available / 10 * 9) return;
  Team team(options.n_threads > 0 ? options.n_threads : default_threads(), options.thread_source);
  pack_weights(file_, *model_, *kernels_, team, options.cancel, options.on_progress);
}

void Engine::page_in_mapped(const EngineOptions& options) {
  if (!options.page_in) return;
  const int64_t available = available_memory();
  Team team(options.n_threads > 0 ? options.n_threads : default_threads(), options.thread_source);
  page_in(file_, *model_, team, available < 0 ? INT64_MAX : available / 10 * 9, options.cancel);
}

int64_t Engine::n_vocab() const noexcept {
  return model_->config.n_vocab;
}
int64_t Engine::n_ctx_train() const noexcept {
  return model_->config.n_ctx_train;
}
int64_t Engine::n_embd() const noexcept {
  return model_->config.n_embd;
}
int64_t Engine::n_params() const noexcept {
  return model_->weights.n_params;
}

std::string Engine::description() const {
  return fmt::format("{} {} {}", model_->config.arch, short_count(n_params()), main_type(file_));
}

MemoryPlan Engine::plan(int64_t n_ctx, int64_t n_batch, KvType type, int n_threads) const {
  if (n_threads <= 0) n_threads = default_threads();
  MemoryPlan plan;
  plan.weights = static_cast<int64_t>(file_.file_bytes().size());
  for (const Buffer<std::byte>& packed : model_->weights.packed) plan.held += packed.bytes();
  if (file_.map() != nullptr && file_.map()->in_memory()) {
    plan.held = plan.weights += plan.held;
  }
  plan.held = std::min(plan.held, plan.weights);
  plan.kv_per_token = KvLayout::of(model_->config, type).bytes_per_token();
  const int64_t fixed = Workspace::bytes(*model_, *kernels_, n_threads, n_batch, kMostLogitsRows);
  plan.scratch = fixed + Workspace::split_bytes(*model_, n_ctx > 0 ? n_ctx : n_ctx_train());
  plan.available = available_memory();
  plan.n_ctx = n_ctx > 0 ? n_ctx : context_that_fits(plan, n_ctx_train());
  plan.scratch = fixed + Workspace::split_bytes(*model_, plan.n_ctx);
  const int64_t pages = (plan.n_ctx + kKvPageLen - 1) / kKvPageLen;
  plan.kv = pages * kKvPageLen * plan.kv_per_token;
  return plan;
}

}  // namespace nibble
