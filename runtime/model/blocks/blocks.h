#pragma once
// The blocks of the forward pass, in the order in which a batch goes through them. All threads call
// each with their Worker; between two blocks a thread has touched only rows of its own.
#include "runtime/model/blocks/worker.h"

namespace nibble {

/// x = embeddings of the rows' tokens, with what positions add to them; angles of rotation.
void embed(Worker& worker) noexcept;

/// x += attention of a layer. Of a parallel layer only the branch: its feed-forward adds it.
void attention(Worker& worker, size_t layer) noexcept;

/// The same of a layer whose keys and values are latents.
void latent_attention(Worker& worker, size_t layer) noexcept;

/// x += feed-forward of a layer.
void feed_forward(Worker& worker, size_t layer) noexcept;

/// The same of a layer with a mixture of experts.
void experts(Worker& worker, size_t layer) noexcept;

/// What the feed-forward of a layer reads is normed and, if `normed` is not nullptr, also left
/// there, [rows, n_embd]; then the branch of a parallel attention is added.
void enter_feed_forward(Worker& worker, size_t layer, std::span<const Matrix* const> users,
                        float* normed) noexcept;

/// Logits and hidden states of the rows that want them.
void output_head(Worker& worker) noexcept;

}  // namespace nibble
