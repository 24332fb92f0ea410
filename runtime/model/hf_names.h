#pragma once
// What the Hugging Face ecosystem calls an architecture: the class and the keys in config.json, and
// what becomes of tensors on the way to GGUF. Part of an architecture's file and row, so that a new
// architecture brings its own converter. Tensor names are in the rows of TensorName (arch.h).
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

class GgufHeader;
class HfConfig;

/// How a tensor's numbers change from Hugging Face to GGUF.
enum class HfTransform : uint8_t {
  none,
  rope_rows,   // rows of each head: i and i + half become 2i and 2i + 1, so that pairs are adjacent
  plus_one,    // norms that multiply by 1 + weight
  transposed,  // columns become rows
  qkv_groups,  // rows: for each key/value head its queries, key, value become all queries, keys,
               // values
  latent_keys,    // of each head's rows, keys then values, the keys, with columns as rows
  latent_values,  // the values
  expert_gates,  // [experts, cols, rows] of gates and ups in turn: the gates, with columns as rows;
                 // of biases [experts, rows] the gates'
  expert_ups,    // the ups
  expert_downs,  // [experts, cols, rows]: columns as rows
};

/// A number of config.json that is a number in GGUF.
struct HfKey {
  std::string_view hf;    // "a|b": a, or b where there is no a
  std::string_view gguf;  // behind "<arch>."
  enum class Kind : uint8_t { whole, real } kind = Kind::whole;
  double otherwise = -1;  // when config.json lacks it; below 0: it must be there
};

/// What a conversion collects besides the keys of the table.
struct HfModel {
  GgufHeader& header;
  std::string_view arch;               // general.architecture
  bool takes_rope_freqs = false;       // the architecture has rope_freqs.weight
  bool takes_longrope = false;         // and rope_factors_short.weight, rope_factors_long.weight
  std::vector<float> rope_freqs = {};  // to become it; empty: none
  std::vector<float> rope_short = {};
  std::vector<float> rope_long = {};
  bool whole_ramp = true;           // RopeSpec::whole_ramp of the architecture
  bool yarn_scales_scores = false;  // mscale_all_dim is for the scores, not for sine and cosine
  int64_t n_layers_left_out = 0;    // behind the last one
  int64_t n_before_positions = 0;   // rows of the table of positions that stand before position 0

  void set_whole(std::string_view key, int64_t value) const;
  void set_real(std::string_view key, double value) const;
  void set_flag(std::string_view key, bool value) const;
  void set_text(std::string_view key, std::string_view value) const;
};

struct HfNames {
  /// "architectures" of config.json, or its "model_type".
  std::span<const std::string_view> classes;
  std::span<const HfKey> keys;
  /// What the table cannot say; refuses what the forward pass does not do. Errors: bad_file,
  /// unsupported.
  void (*more)(const HfConfig&, HfModel&);
  bool tied_by_default = false;  // when config.json does not say tie_word_embeddings
  /// Tensors that are left out, with a note: a part of their name.
  std::span<const std::string_view> left_out = {};
  /// What stands in front of the names of tensors, or does not: "transformer."; "a|b": a or b.
  std::string_view prefix = {};
};

/// Rope of one kind of layers ("full_attention"; "" where all are alike) into the keys
/// <arch>.<base_key> and rope.scaling.*, or into rope_freqs. dim: rotated elements of a head.
/// default_base: when config.json says none. partial: dim is what partial_rotary_factor says; else
/// a factor is refused. Errors: unsupported (a scaling, by name), bad_file.
void import_rope(const HfConfig& config, std::string_view layers, double default_base, int64_t dim,
                 HfModel& model, bool partial = false);

}  // namespace nibble
