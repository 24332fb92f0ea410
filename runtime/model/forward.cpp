// One parallel region a forward. Every thread runs the same sequence of phases and meets the others
// at a barrier between them; inside a phase, rows of the batch are dealt out evenly and tiles of
// weight rows are taken from a counter. What a phase does is in blocks/.
#include "runtime/model/forward.h"

#include "formats/io/mapped_file.h"
#include "runtime/model/blocks/blocks.h"
#include "runtime/threads/float_environment.h"

namespace nibble {
namespace {

bool file_changed(Pass& pass) noexcept {
  if (pass.model.map == nullptr || pass.model.map->unchanged(true)) return false;
  pass.skipped.store(true, std::memory_order_relaxed);
  return true;
}

void work(Pass& pass, int thread) noexcept {
  Worker worker(pass, thread);
  embed(worker);
  for (size_t i = 0; i < worker.config.layers.size(); ++i) {
    if (thread == 0 && (pass.cancelled() || file_changed(pass))) pass.stop = true;
    if (worker.spec(i).latent.rank > 0) {
      latent_attention(worker, i);
    } else {
      attention(worker, i);
    }
    if (pass.stop) return;  // written before a barrier inside attention, the same for all
    if (worker.spec(i).experts.n > 0) {
      experts(worker, i);
    } else {
      feed_forward(worker, i);
    }
  }
  output_head(worker);
}

/// For each row of an encoder, one past the last position of its sequence.
void find_seen(std::span<const Row> rows, std::vector<int64_t>& seen) noexcept {
  for (size_t end = rows.size(); end > 0;) {
    size_t begin = end;
    while (begin > 0 && rows[begin - 1].sequence == rows[end - 1].sequence) {
      seen[--begin] = rows[end - 1].pos + 1;
    }
    end = begin;
  }
}

}  // namespace

ForwardStatus forward(const Model& model, const KernelTable& kernels, Team& team, Workspace& ws,
                      std::span<const Row> rows, const CancelToken* cancel) noexcept {
  for (TileCounter& c : ws.counters) c.reset();
  ws.head_share = -1;
  ws.logit_rows.clear();
  for (size_t t = 0; t < rows.size(); ++t) {
    if (rows[t].output == RowOutput::logits) ws.logit_rows.push_back(static_cast<int64_t>(t));
  }
  if (!model.config.causal) find_seen(rows, ws.seen);
  Pass pass = {model, kernels, team, ws, rows, cancel};
  team.run([&pass](int thread, Team&) {
    const DefaultFloatEnvironment as_compiled;
    work(pass, thread);
  });
  return pass.skipped.load(std::memory_order_relaxed) ? ForwardStatus::cancelled
                                                      : ForwardStatus::ok;
}

}  // namespace nibble
