#pragma once
// The one forward pass. A batch is rows of (token, position, sequence), from one or several
// sequences; each row says what is wanted of it. Decode is a batch of one row.
//
// A row's result depends on its own token and on the keys and values of its own sequence only, in
// an order that no split into batches, chunks or threads changes.
#include <cstdint>
#include <span>

#include "runtime/model/model.h"
#include "runtime/model/sequence_state.h"
#include "runtime/model/workspace.h"
#include "runtime/threads/cancel.h"
#include "runtime/threads/team.h"

namespace nibble {

enum class RowOutput : uint8_t { none, logits, hidden };

/// One token to evaluate. Its position has been reserved in the sequence; rows of one sequence
/// stand in order of position, with no gap after what the sequence already holds.
struct Row {
  int32_t token;
  int64_t pos;
  SequenceState* sequence;
  RowOutput output;
};

enum class ForwardStatus { ok, cancelled };

/// Evaluates the rows; writes their keys and values (the caller commits them) and, into the
/// workspace, outputs in row order: logits [n_logits, n_vocab], hidden [n_hidden, n_embd] (after
/// the last norm). Preconditions: tokens in [0, n_vocab); workspace reserved for so many rows.
/// cancelled (also when the model's file changed): nothing of the result may be used; the sequences
/// keep their committed past.
ForwardStatus forward(const Model&, const KernelTable&, Team&, Workspace&, std::span<const Row>,
                      const CancelToken* cancel) noexcept;

}  // namespace nibble
