#include "runtime/engine/session.h"

#include <algorithm>
#include <utility>

#include "formats/io/error.h"
#include "runtime/model/forward.h"
#include "runtime/model/head_bounds.h"
#include "runtime/model/hparams.h"
#include "runtime/threads/float_environment.h"

namespace nibble {

namespace {

// Reading the head in part costs five eighths of it and what cannot be ruled out: above this share
// there is nothing to gain, and for so many tokens it is not tried.
constexpr double kWorthwhile = 0.25;
constexpr int64_t kHeadRest = 32;

}  // namespace

struct Session::Impl {
  Impl(std::shared_ptr<const Engine> e, const SessionOptions& o, MemoryPlan p, SequenceState first)
      : engine(std::move(e)),
        options(o),
        plan(p),
        state(std::move(first)),
        team(o.n_threads, o.thread_source) {
    workspace.n_ctx = plan.n_ctx;
  }

  std::shared_ptr<const Engine> engine;
  SessionOptions options;  // effective values
  MemoryPlan plan;
  SequenceState state;
  Team team;
  Workspace workspace;
  std::vector<int32_t> tokens;
  std::vector<Row> rows;
  bool have_logits = false;
  int64_t top_k = 0;       // as want_top() says
  int64_t have_top = 0;    // so many of the logits at hand are right; 0: all
  int64_t head_rest = 0;   // tokens until reading the head in part is tried again
  int64_t logits_row = 0;  // of the workspace's logits: the last token's

  int64_t n_ctx() const { return plan.n_ctx; }

  void check_tokens(std::span<const int32_t> ids) const {
    for (const int32_t id : ids) {
      if (id < 0 || id >= engine->n_vocab()) {
        fail(ErrorCode::bad_argument, "token: expected 0 to {}, got {}", engine->n_vocab() - 1, id);
      }
    }
  }

  void check_room(int64_t n_tokens) const {
    if (n_tokens > n_ctx()) {
      throw Error(ErrorCode::context_full,
                  fmt::format("context: expected at most {} tokens, got {}", n_ctx(), n_tokens),
                  "shorten the prompt or open the session with a larger context");
    }
  }

  void rewind(int64_t n) {
    if (n >= static_cast<int64_t>(tokens.size())) return;
    tokens.resize(static_cast<size_t>(n));
    state.truncate(n);
    have_logits = false;
  }

  /// One forward over the next tokens; the last row's logits, or all.
  void evaluate(std::span<const int32_t> ids, bool all_logits, const CancelToken* cancel) {
    const DefaultFloatEnvironment as_compiled;
    const int64_t n = static_cast<int64_t>(ids.size());
    const int64_t n_logits = all_logits ? n : 1;
    have_logits = false;
    workspace.observer = options.observer;
    workspace.reserve(engine->model(), engine->kernels(), team.size(), n, n_logits, 0);
    const bool partly = top_k > 0 && top_k <= HeadBounds::kMostTop && n_logits == 1;
    workspace.top_k = partly && head_rest == 0 ? top_k : 0;
    if (head_rest > 0) --head_rest;
    workspace.reserve_splits(engine->model(), n, state.length() + n);
    state.reserve(n);
    rows.clear();
    for (int64_t i = 0; i < n; ++i) {
      const bool wanted = all_logits || i == n - 1;
      rows.push_back(Row{ids[static_cast<size_t>(i)], state.length() + i, &state,
                         wanted ? RowOutput::logits : RowOutput::none});
    }
    const size_t need = tokens.size() + ids.size();
    if (need > tokens.capacity()) tokens.reserve(std::max(need, 2 * tokens.capacity()));
    const ForwardStatus status =
        forward(engine->model(), engine->kernels(), team, workspace, rows, cancel);
    engine->file().require_unchanged();
    if (status == ForwardStatus::cancelled) fail(ErrorCode::cancelled, "cancelled");
    state.commit(n);
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    have_logits = true;
    have_top = workspace.head_share < 0 ? 0 : workspace.top_k;
    if (workspace.head_share > kWorthwhile) head_rest = kHeadRest;
    logits_row = n_logits - 1;
  }
};

Session::Session(std::shared_ptr<const Engine> engine, const SessionOptions& given) {
  SessionOptions options = given;
  if (options.n_ctx < 0 || options.n_ctx > HParams::kMaxContext) {
    fail(ErrorCode::bad_argument, "n_ctx: expected 0 to {}, got {}", HParams::kMaxContext,
         options.n_ctx);
  }
  if (!engine->model().config.causal) {
    fail(ErrorCode::unsupported, "{}: expected a model that continues text, got an encoder ({})",
         engine->file().path(), engine->model().config.arch);
  }
  if (const ModelConfig& config = engine->model().config;
      config.bounded && options.n_ctx > config.n_ctx_train) {
    fail(ErrorCode::bad_argument, "n_ctx: expected at most {}, the positions of the model, got {}",
         config.n_ctx_train, options.n_ctx);
  }
  if (options.n_batch < 1 || options.n_batch > (1 << 16)) {
    fail(ErrorCode::bad_argument, "n_batch: expected 1 to {}, got {}", 1 << 16, options.n_batch);
  }
  if (options.n_threads < 0 || options.n_threads > 1024) {
    fail(ErrorCode::bad_argument, "n_threads: expected 0 to 1024, got {}", options.n_threads);
  }
  if (options.n_threads == 0) options.n_threads = default_threads();
  if (!options.kv_type) options.kv_type = engine->kernels().default_kv;

  const MemoryPlan plan =
      engine->plan(options.n_ctx, options.n_batch, *options.kv_type, options.n_threads);
  if (!plan.fits()) {
    throw Error(ErrorCode::out_of_memory,
                fmt::format("memory: weights {} + keys and values {} + scratch {} = {} bytes, "
                            "available {}",
                            plan.weights, plan.kv, plan.scratch, plan.total(), plan.available),
                "choose a smaller context or a smaller model");
  }
  auto layout =
      std::make_shared<const KvLayout>(KvLayout::of(engine->model().config, *options.kv_type));
  impl_ =
      std::make_unique<Impl>(std::move(engine), options, plan, SequenceState(std::move(layout)));
}

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

void Session::check(std::span<const int32_t> tokens) const {
  if (tokens.empty()) fail(ErrorCode::bad_argument, "tokens: expected at least one, got none");
  impl_->check_tokens(tokens);
  impl_->check_room(static_cast<int64_t>(tokens.size()));
}

SyncResult Session::sync(std::span<const int32_t> tokens, const CancelToken* cancel,
                         const std::function<void(int64_t, int64_t)>& on_progress) {
  Impl& s = *impl_;
  check(tokens);
  const int64_t n = static_cast<int64_t>(tokens.size());
  const auto differ = std::mismatch(tokens.begin(), tokens.end(), s.tokens.begin(), s.tokens.end());
  int64_t keep = differ.first - tokens.begin();
  const bool same = keep == n && n == n_used() && s.have_logits;
  if (keep == n && !same) --keep;  // the last token is run again for its logits
  s.rewind(keep);

  SyncResult result{keep, 0};
  const int64_t todo = n - keep;
  while (result.n_evaluated < todo) {
    if (cancel != nullptr && cancel->requested()) fail(ErrorCode::cancelled, "cancelled");
    const int64_t chunk = std::min(s.options.n_batch, todo - result.n_evaluated);
    s.evaluate(
        tokens.subspan(static_cast<size_t>(keep + result.n_evaluated), static_cast<size_t>(chunk)),
        false, cancel);
    result.n_evaluated += chunk;
    if (on_progress) on_progress(result.n_evaluated, todo);
  }
  return result;
}

void Session::append(int32_t token, const CancelToken* cancel) {
  impl_->check_tokens({&token, 1});
  impl_->check_room(n_used() + 1);
  impl_->evaluate({&token, 1}, false, cancel);
}

void Session::evaluate_all(std::span<const int32_t> tokens,
                           const std::function<void(int64_t, int64_t, const float*)>& on_rows,
                           const CancelToken* cancel, int64_t first_row) {
  Impl& s = *impl_;
  const int64_t n_tokens = static_cast<int64_t>(tokens.size());
  s.check_tokens(tokens);
  s.check_room(n_tokens);
  s.rewind(0);
  while (n_used() < n_tokens) {
    const int64_t at = n_used();
    const bool wanted = at >= first_row;
    const int64_t end = wanted ? n_tokens : std::min(first_row, n_tokens);
    const int64_t step = wanted ? std::min(s.options.n_batch, kMostLogitsRows) : s.options.n_batch;
    const int64_t n = std::min(step, end - at);
    s.evaluate(tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(n)), wanted, cancel);
    if (wanted) on_rows(at, n, s.workspace.logits.data());
  }
}

std::span<const float> Session::logits() const noexcept {
  if (!impl_->have_logits) return {};
  const int64_t n_vocab = impl_->engine->n_vocab();
  return {impl_->workspace.logits.data() + impl_->logits_row * n_vocab,
          static_cast<size_t>(n_vocab)};
}

void Session::want_top(int64_t k) noexcept {
  Impl& s = *impl_;
  s.top_k = std::max<int64_t>(k, 0);
  if (s.have_top != 0 && (s.top_k == 0 || s.top_k > s.have_top)) s.have_logits = false;
}

std::span<const int32_t> Session::tokens() const noexcept {
  return impl_->tokens;
}
int64_t Session::n_ctx() const noexcept {
  return impl_->n_ctx();
}
int64_t Session::n_batch() const noexcept {
  return impl_->options.n_batch;
}
int64_t Session::kv_bytes() const noexcept {
  return impl_->state.allocated_bytes();
}
int Session::n_threads() const noexcept {
  return impl_->team.size();
}
void Session::rewind(int64_t n) {
  impl_->rewind(std::max<int64_t>(n, 0));
}
const SequenceState& Session::state() const noexcept {
  return impl_->state;
}
SequenceState Session::empty_state() const {
  return SequenceState(impl_->state.shared_layout());
}
void Session::restore(SequenceState state, std::vector<int32_t> tokens) noexcept {
  impl_->state = std::move(state);
  impl_->tokens = std::move(tokens);
  impl_->have_logits = false;
}
const Engine& Session::engine() const noexcept {
  return *impl_->engine;
}
std::shared_ptr<const Engine> Session::engine_ptr() const noexcept {
  return impl_->engine;
}
const MemoryPlan& Session::plan() const noexcept {
  return impl_->plan;
}

Session Session::fork() const {
  const Impl& s = *impl_;
  if (const int64_t left = available_memory(); left >= 0 && s.plan.kv > left) {
    fail(ErrorCode::out_of_memory,
         "memory: keys and values of a second timeline {} bytes, "
         "available {}",
         s.plan.kv, left);
  }
  auto copy = std::make_unique<Impl>(s.engine, s.options, s.plan, s.state.fork());
  copy->tokens = s.tokens;
  copy->top_k = s.top_k;
  if (s.have_logits) {
    copy->workspace.logits.reserve(s.engine->n_vocab());
    std::copy(logits().begin(), logits().end(), copy->workspace.logits.data());
    copy->have_logits = true;
    copy->have_top = s.have_top;
  }
  return Session(std::move(copy));
}

}  // namespace nibble
