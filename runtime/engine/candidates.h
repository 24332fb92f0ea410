#pragma once
// The tokens that are still in the running while the sampler's stages cut them down. Starts as the
// whole vocabulary, which stays in the caller's logits as long as no stage needs it otherwise: a
// list of candidates is made only of what survives.
//
// Everything is decided in double precision with portable_exp and sums in a fixed order, so equal
// logits give equal tokens on every machine. Ties go to the lowest id. A NaN or -infinity is never
// chosen; +infinity counts as the largest float.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace nibble {

struct Candidate {
  int32_t id;
  double logit;   // finite
  double weight;  // exp(logit - largest logit), where a stage has computed it
};

class Candidates {
 public:
  /// Every token; logits [n_vocab] are read, not copied, until the next start.
  void start(std::span<const float> logits) noexcept;

  /// Still the whole vocabulary? Then writable() changes logits, else list().
  bool is_whole() const noexcept { return whole_; }
  /// A copy of the caller's logits, made on first use. Precondition: is_whole(), no temperature
  /// yet.
  std::span<float> writable();
  /// Makes the list of all tokens if it is not there. Whoever changes logits calls changed().
  std::vector<Candidate>& list();
  /// Drops candidates whose logit became NaN or -infinity and forgets the order.
  void changed();
  bool has_temperature() const noexcept { return per_temperature_ != 1.0; }

  /// Largest logit, lowest id of equal ones; -1: there is none that can be chosen.
  int32_t best() const noexcept;
  bool empty() const noexcept { return best() < 0; }

  // Preconditions of the rest: not empty().
  /// The k largest logits, k >= 1.
  void keep_top(int64_t k);
  /// The likeliest that together reach mass p (Holtzman et al., "The curious case of neural text
  /// degeneration", 2019); at least one.
  void keep_mass(double p);
  /// Those at least p times as likely as the likeliest (Nguyen et al., "Min-p sampling", 2024).
  void keep_ratio(double p);
  /// Those whose information is nearest to the entropy, until they reach mass p (Meister et al.,
  /// "Locally typical sampling", 2022); at least one.
  void keep_typical(double p);
  /// Divides the logits by t > 0.
  void divide(double t);
  /// The candidate at u of the cumulated distribution, 0 <= u < 1.
  int32_t at(double u);

 private:
  double whole_max() const noexcept;  // largest logit, temperature applied
  double weight_sum(std::span<const float> logits, double max) const noexcept;
  int32_t whole_at(double u) const;
  void select_top(size_t k);  // list_ becomes the k largest, sorted
  double list_max() const noexcept;
  double weigh();  // fills the weights of list_; returns their sum
  void sort_by_logit();

  std::span<const float> logits_;  // [n_vocab] the caller's, or changed_
  std::vector<float> copy_;
  std::vector<Candidate> list_;   // valid unless whole_
  double per_temperature_ = 1.0;  // factor of logits_ while whole_
  bool whole_ = true;
  bool sorted_ = false;  // list_ by falling logit, then rising id
};

}  // namespace nibble
