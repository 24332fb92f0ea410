#pragma once
// Hyperparameters of a file, read with their ranges. Every number that later sizes a buffer or
// divides something passes through here, defaults too, so nothing behind it needs to doubt it.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/model/config.h"

namespace nibble {

class HParams {
 public:
  /// Keys are looked up as "<arch>.<key>".
  HParams(const Metadata& meta, std::string_view arch) : meta_(meta), prefix_(arch) {
    prefix_ += '.';
  }

  // Errors (all): bad_file; the message names file, key, the range and what was there.
  int64_t integer(std::string_view key, int64_t lo, int64_t hi) const;  // required
  int64_t integer_or(std::string_view key, int64_t otherwise, int64_t lo, int64_t hi) const;
  double number(std::string_view key, double lo, double hi) const;  // required, finite
  double number_or(std::string_view key, double otherwise, double lo, double hi) const;
  std::string_view text_or(std::string_view key, std::string_view otherwise) const;
  /// One number for all layers or an array with one a layer.
  std::vector<int64_t> per_layer(std::string_view key, int64_t n_layer, int64_t lo,
                                 int64_t hi) const;
  bool has(std::string_view key) const;
  bool boolean_or(std::string_view key, bool otherwise) const;
  /// Rotary positions from rope.*; a scaling factor without a type is linear, as the ecosystem
  /// reads it. head_dim: rotated elements where the file does not say. Errors: unsupported (a
  /// scaling that is not known, by name), bad_file.
  RopeSpec rope(RopeKind kind, int64_t head_dim, int64_t n_ctx_train) const;
  const Metadata& meta() const noexcept { return meta_; }

  // Limits of a plausible model, named once.
  static constexpr int64_t kMaxLayers = 4096;
  static constexpr int64_t kMaxWidth = 1 << 20;
  static constexpr int64_t kMaxHeads = 1 << 14;
  static constexpr int64_t kMaxHeadDim = 1 << 14;
  static constexpr int64_t kMaxContext = int64_t{1} << 30;

 private:
  std::string full(std::string_view key) const { return prefix_ + std::string(key); }
  const Metadata& meta_;
  std::string prefix_;
};

}  // namespace nibble
