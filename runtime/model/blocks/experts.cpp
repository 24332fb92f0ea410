// A mixture of experts. Rows that chose an expert are put together, so that its weights are read
// once for all of them; all experts' gates and ups are one phase, all downs another. What a row
// gets does not depend on whom it shares an expert with: the sum over its experts goes from the
// best on.
#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/model/blocks/blocks.h"

namespace nibble {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class Experts {
 public:
  Experts(Worker& worker, size_t layer) noexcept
      : worker_(worker),
        kernels_(worker.kernels),
        ws_(worker.ws),
        at_(worker.ws.experts),
        layer_(layer),
        layer_spec_(worker.spec(layer)),
        spec_(layer_spec_.experts),
        w_(worker.weights(layer)),
        n_rows_(worker.n_rows),
        alone_(worker.each_alone) {}

  void run() noexcept {
    enter();
    worker_.team.barrier();
    const IndexRange mine = worker_.rows_of(n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) choose(t);
    if (alone_) {
      plan_lone_row();
    } else {
      worker_.team.barrier();
      if (worker_.thread == 0) plan_batch();
      worker_.team.barrier();
      prepare_slots();
      worker_.team.barrier();
      show(w_[Role::experts_gate]);
      show(w_[Role::experts_up]);
    }
    worker_.matmul(gate_up());
    worker_.team.barrier();
    activate();
    worker_.matmul(downs());
    worker_.team.barrier();
    for (int64_t t = mine.begin; t < mine.end; ++t) combine(t);
  }

 private:
  // ---- the router ----

  /// Norm; what the router says; the gate and up that all rows share.
  void enter() noexcept {
    const Matrix* all[] = {&w_[Role::router], &w_[Role::shared_gate], &w_[Role::shared_up],
                           &w_[Role::experts_gate], &w_[Role::experts_up]};
    const Matrix* users[5];
    size_t n_users = 0;
    for (size_t i = 0; i < 5; ++i) {
      // A batch's rows are prepared for the experts later, expert by expert.
      if (all[i]->data != nullptr && (alone_ || i < 3)) users[n_users++] = all[i];
    }
    enter_feed_forward(worker_, layer_, std::span(users, n_users), at_.normed.data());
    const Product products[] = {Product::whole(all[0], at_.scores.data(), n_rows_),
                                Product::whole(all[1], ws_.gate.data(), n_rows_),
                                Product::whole(all[2], ws_.up.data(), n_rows_)};
    const size_t n = has_shared() ? 3 : 1;
    worker_.matmul(std::span<const Product>(products, n));
  }

  /// The experts of row t and their weights.
  void choose(int64_t t) noexcept {
    const float* scores = scores_of(t);
    const int64_t own = worker_.slot(t);
    int32_t* chosen = at_.chosen.data() + own * spec_.n_used;
    float* weights = at_.weights.data() + own * spec_.n_used;
    const float highest = *std::max_element(scores, scores + spec_.n);
    double total = 0;
    for (int64_t e = 0; e < spec_.n; ++e) total += std::exp(double{scores[e]} - double{highest});
    const auto weight_of = [&](int64_t e) {
      const double x = double{scores[e]};
      return spec_.score == ExpertScore::softmax ? std::exp(x - double{highest}) / total
                                                 : 1 / (1 + std::exp(-x));
    };
    const float* by = scores;
    if (w_.vector(Role::router_bias) != nullptr || spec_.n_groups > 1) {
      float* choice = worker_.scratch_row();
      rate(weight_of, choice);
      by = choice;
    }
    double chosen_total = 0;
    for (int64_t i = 0; i < spec_.n_used; ++i) {
      const int64_t best = best_of(by, std::span<const int32_t>(chosen, i));
      chosen[i] = static_cast<int32_t>(best);
      const double weight = weight_of(best);
      weights[i] = static_cast<float>(weight);
      chosen_total += weight;
    }
    const double scale = double{spec_.scale} / (spec_.normalized ? chosen_total : 1.0);
    for (int64_t i = 0; i < spec_.n_used; ++i) {
      weights[i] = static_cast<float>(double{weights[i]} * scale);
    }
  }

  /// What the router says of row t, [n]. Others read the product too where each thread works alone.
  const float* scores_of(int64_t t) noexcept {
    const float* product = at_.scores.data() + t * spec_.n;
    const float* bias = w_.vector(Role::router_score_bias);
    if (bias == nullptr) return product;
    float* scores = worker_.scratch_row() + 2 * spec_.n;
    std::copy(product, product + spec_.n, scores);
    kernels_.add(scores, bias, spec_.n);
    return scores;
  }

  /// What experts are chosen by, where it is not the scores: their weights with the bias, and none
  /// outside of the best groups. choice [n]
  template <class F>
  void rate(F&& weight_of, float* choice) noexcept {
    const float* bias = w_.vector(Role::router_bias);
    for (int64_t e = 0; e < spec_.n; ++e) {
      choice[e] = static_cast<float>(weight_of(e)) + (bias != nullptr ? bias[e] : 0.0f);
    }
    const int64_t each = spec_.n / spec_.n_groups;
    float* groups = choice + spec_.n;
    for (int64_t g = 0; g < spec_.n_groups; ++g) {
      const float* own = choice + g * each;
      float first = -kInfinity, second = -kInfinity;
      for (int64_t e = 0; e < each; ++e) {
        second = std::max(second, std::min(first, own[e]));
        first = std::max(first, own[e]);
      }
      groups[g] = spec_.score == ExpertScore::sigmoid && each > 1 ? first + second : first;
    }
    // As many as are not used fall out, the worst first; of equals the last.
    for (int64_t out = spec_.n_groups_used; out < spec_.n_groups; ++out) {
      int64_t worst = 0;
      for (int64_t g = 1; g < spec_.n_groups; ++g) {
        if (groups[g] <= groups[worst]) worst = g;
      }
      groups[worst] = kInfinity;
      std::fill_n(choice + worst * each, each, -kInfinity);
    }
  }

  /// Of those that are not taken, the one with the highest score; of equals the first.
  int64_t best_of(const float* scores, std::span<const int32_t> taken) const noexcept {
    int64_t best = -1;
    float highest = 0;
    for (int64_t e = 0; e < spec_.n; ++e) {
      if (best >= 0 && !(scores[e] > highest)) continue;
      if (std::find(taken.begin(), taken.end(), static_cast<int32_t>(e)) != taken.end()) continue;
      best = e;
      highest = scores[e];
    }
    return best;
  }

  // ---- slots ----

  /// Slots in order of the experts, and their products.
  void plan_batch() noexcept {
    int64_t* begin = at_.begin.data();
    std::fill(begin, begin + spec_.n + 1, 0);
    const int64_t n_slots = n_rows_ * spec_.n_used;
    for (int64_t i = 0; i < n_slots; ++i) ++begin[at_.chosen.data()[i] + 1];
    for (int64_t e = 0; e < spec_.n; ++e) begin[e + 1] += begin[e];
    for (int64_t i = 0; i < n_slots; ++i) {
      const int64_t slot = begin[at_.chosen.data()[i]]++;
      at_.slot_of.data()[i] = slot;
      at_.row_of.data()[slot] = i / spec_.n_used;
    }
    for (int64_t e = spec_.n; e > 0; --e) begin[e] = begin[e - 1];
    begin[0] = 0;
    place_inputs(worker_.config.n_embd);
    for (int64_t e = 0; e < spec_.n; ++e) {
      const int64_t n = begin[e + 1] - begin[e];
      Product* products = at_.gate_up.data() + 2 * e;
      const Matrix& gate = w_[Role::experts_gate];
      const Matrix& up = w_[Role::experts_up];
      const int64_t first = e * spec_.n_ff, out = begin[e] * spec_.n_ff;
      products[0] = {&gate, at_.gate.data() + out, first, spec_.n_ff, n, input(gate, e)};
      products[1] = {&up, at_.up.data() + out, first, spec_.n_ff, n, input(up, e)};
    }
  }

  /// The slots of a lone row are its experts, in order of choice.
  void plan_lone_row() noexcept {
    const int32_t* chosen = at_.chosen.data() + worker_.thread * spec_.n_used;
    for (int64_t i = 0; i < spec_.n_used; ++i) {
      Product* products = gate_up_products() + 2 * i;
      const int64_t first = chosen[i] * spec_.n_ff, out = i * spec_.n_ff;
      products[0] = {&w_[Role::experts_gate], at_.gate.data() + out, first, spec_.n_ff, 1, nullptr};
      products[1] = {&w_[Role::experts_up], at_.up.data() + out, first, spec_.n_ff, 1, nullptr};
    }
  }

  /// Where the inputs of k columns of each expert's slots lie.
  void place_inputs(int64_t k) noexcept {
    for (const ActLayout layout : {ActLayout::f32, ActLayout::q8}) {
      const int64_t cols = padded(layout, k);
      int64_t bytes = 0;
      for (int64_t e = 0; e < spec_.n; ++e) {
        at_.input_at[static_cast<size_t>(layout)].data()[e] = bytes;
        bytes += kernels_.act_bytes(layout, cols, slots_of(e));
      }
    }
  }

  /// This thread's share of the slots: inputs of gates and ups.
  void prepare_slots() noexcept {
    const int64_t n = worker_.config.n_embd;
    const Matrix* users[] = {&w_[Role::experts_gate], &w_[Role::experts_up]};
    const bool same = kernels_.act_layout(users[0]->type) == kernels_.act_layout(users[1]->type);
    for_each_slot([&](int64_t e, int64_t slot) {
      const float* x = at_.normed.data() + at_.row_of.data()[slot] * n;
      for (size_t i = 0; i < (same ? 1 : 2); ++i) prepare(*users[i], e, slot, x, n);
    });
  }

  void prepare(const Matrix& user, int64_t e, int64_t slot, const float* x, int64_t n) noexcept {
    ws_.observe_slot(slot, x, n);
    const ActLayout layout = kernels_.act_layout(user.type);
    kernels_.prepare_act(layout, x, n, input(user, e), slot - at_.begin.data()[e], slots_of(e));
  }

  /// An observer sees what each expert's matrix of a stacked one reads.
  void show(const Matrix& w) noexcept {
    for (int64_t e = 0; e < spec_.n; ++e) {
      worker_.show_part(w, e, at_.begin.data()[e], slots_of(e));
    }
  }

  // ---- behind gate and up ----

  /// act(gate) * up of the slots and of what is shared, as inputs of the downs.
  void activate() noexcept {
    const Matrix& down = w_[Role::experts_down];
    const int64_t n = spec_.n_ff;
    float* row = worker_.scratch_row();
    const auto activated = [&](int64_t e, int64_t slot) {
      const float* gate = biased(at_.gate.data() + slot * n, Role::experts_gate_bias, e, row);
      const float* up = biased(at_.up.data() + slot * n, Role::experts_up_bias, e, row + n);
      kernels_.glu(layer_spec_.activation, gate, up, n, row);
      return row;
    };
    if (alone_) {
      activate_lone_row(down, activated);
    } else {
      if (worker_.thread == 0) plan_downs();
      worker_.team.barrier();
      for_each_slot(
          [&](int64_t e, int64_t slot) { prepare(down, e, slot, activated(e, slot), n); });
      if (ws_.observer != nullptr) show_downs(down);
    }
    if (!has_shared()) return worker_.rows_are_done();
    const Matrix* users[] = {&w_[Role::shared_down]};
    const int64_t width = spec_.n_ff_shared;
    const IndexRange mine = worker_.rows_of(n_rows_);
    for (int64_t t = mine.begin; t < mine.end; ++t) {
      kernels_.glu(layer_spec_.activation, ws_.gate.data() + t * width, ws_.up.data() + t * width,
                   width, row);
      worker_.prepare(t, n_rows_, row, width, users);
    }
    worker_.inputs_are_done(n_rows_, users);
  }

  /// x [n_ff] of expert e with its bias, in `changed` if there is one: a lone row's are read by
  /// all.
  const float* biased(const float* x, Role role, int64_t e, float* changed) noexcept {
    const float* bias = w_.vector(role);
    if (bias == nullptr) return x;
    std::copy(x, x + spec_.n_ff, changed);
    kernels_.add(changed, bias + e * spec_.n_ff, spec_.n_ff);
    return changed;
  }

  /// Before what is shared takes the observer's memory.
  void show_downs(const Matrix& down) noexcept {
    worker_.team.barrier();
    show(down);
    worker_.team.barrier();
  }

  /// Every thread prepares all of a lone row's slots for itself.
  template <class F>
  void activate_lone_row(const Matrix& down, F&& activated) noexcept {
    const ActLayout layout = kernels_.act_layout(down.type);
    const int64_t bytes = kernels_.act_bytes(layout, padded(layout, spec_.n_ff), 1);
    std::byte* own =
        at_.inputs[static_cast<size_t>(layout)].data() + worker_.thread * spec_.n_used * bytes;
    const int32_t* chosen = at_.chosen.data() + worker_.thread * spec_.n_used;
    const int64_t n_embd = worker_.config.n_embd;
    for (int64_t i = 0; i < spec_.n_used; ++i) {
      kernels_.prepare_act(layout, activated(chosen[i], i), spec_.n_ff, own + i * bytes, 0, 1);
      down_products()[i] = {
          &down, at_.down.data() + i * n_embd, chosen[i] * n_embd, n_embd, 1, own + i * bytes};
    }
    add_shared_down(down_products() + spec_.n_used);
  }

  void plan_downs() noexcept {
    place_inputs(spec_.n_ff);
    const Matrix& down = w_[Role::experts_down];
    const int64_t n_embd = worker_.config.n_embd;
    for (int64_t e = 0; e < spec_.n; ++e) {
      at_.downs[static_cast<size_t>(e)] = {
          &down,       at_.down.data() + at_.begin.data()[e] * n_embd,
          e * n_embd,  n_embd,
          slots_of(e), input(down, e)};
    }
    add_shared_down(at_.downs.data() + spec_.n);
  }

  void add_shared_down(Product* to) noexcept {
    if (has_shared()) *to = Product::whole(&w_[Role::shared_down], ws_.branch.data(), n_rows_);
  }

  /// x += the weighted sum of row t's experts, from the best on, and of the shared one.
  void combine(int64_t t) noexcept {
    const int64_t n = worker_.config.n_embd;
    const int64_t own = worker_.slot(t);
    float* sum = at_.normed.data() + own * n;  // its input is not needed any more
    const float shared = has_shared() ? shared_weight(sum) : 0.0f;
    std::fill(sum, sum + n, 0.0f);
    const float* biases = w_.vector(Role::experts_down_bias);  // [n, embd]
    for (int64_t i = 0; i < spec_.n_used; ++i) {
      const int64_t slot = alone_ ? i : at_.slot_of.data()[t * spec_.n_used + i];
      const float weight = at_.weights.data()[own * spec_.n_used + i];
      const float* from = at_.down.data() + slot * n;
      for (int64_t c = 0; c < n; ++c) sum[c] += weight * from[c];
      if (biases == nullptr) continue;
      const float* bias = biases + at_.chosen.data()[own * spec_.n_used + i] * n;
      for (int64_t c = 0; c < n; ++c) sum[c] += weight * bias[c];
    }
    if (has_shared()) {
      const float* from = ws_.branch.data() + t * n;
      for (int64_t c = 0; c < n; ++c) sum[c] += shared * from[c];
    }
    worker_.add_row(layer_spec_, w_, Role::ffn_down_bias, Role::ffn_post_norm,
                    Role::ffn_post_norm_bias, t, sum);
  }

  float shared_weight(const float* x) const noexcept {
    const float* gate = w_.vector(Role::shared_router);
    if (gate == nullptr) return 1.0f;
    double sum = 0;
    for (int64_t c = 0; c < worker_.config.n_embd; ++c) sum += double{gate[c]} * double{x[c]};
    return static_cast<float>(1 / (1 + std::exp(-sum)));
  }

  // ---- small things ----

  bool has_shared() const noexcept { return spec_.n_ff_shared > 0; }
  static int64_t padded(ActLayout layout, int64_t k) noexcept {
    return layout == ActLayout::q8 ? (k + 31) / 32 * 32 : k;
  }
  int64_t slots_of(int64_t e) const noexcept {
    return at_.begin.data()[e + 1] - at_.begin.data()[e];
  }
  std::byte* input(const Matrix& user, int64_t e) const noexcept {
    const auto layout = static_cast<size_t>(kernels_.act_layout(user.type));
    return at_.inputs[layout].data() + at_.input_at[layout].data()[e];
  }
  /// f(expert, slot) for this thread's share of the slots.
  template <class F>
  void for_each_slot(F&& f) noexcept {
    const IndexRange mine = worker_.share(n_rows_ * spec_.n_used);
    const int64_t* begin = at_.begin.data();
    int64_t e = std::upper_bound(begin, begin + spec_.n + 1, mine.begin) - begin - 1;
    for (int64_t slot = mine.begin; slot < mine.end; ++slot) {
      while (slot >= begin[e + 1]) ++e;
      f(e, slot);
    }
  }
  /// Where this thread finds the products: a lone row's are its own.
  Product* gate_up_products() noexcept {
    return at_.gate_up.data() + (alone_ ? 2 * worker_.thread * spec_.n_used : 0);
  }
  Product* down_products() noexcept {
    return at_.downs.data() + (alone_ ? worker_.thread * (spec_.n_used + 1) : 0);
  }
  std::span<const Product> gate_up() noexcept {
    return {gate_up_products(), static_cast<size_t>(2 * (alone_ ? spec_.n_used : spec_.n))};
  }
  std::span<const Product> downs() noexcept {
    const int64_t n = (alone_ ? spec_.n_used : spec_.n) + (has_shared() ? 1 : 0);
    return {down_products(), static_cast<size_t>(n)};
  }

  Worker& worker_;
  const KernelTable& kernels_;
  Workspace& ws_;
  ExpertSlots& at_;
  const size_t layer_;
  const LayerSpec& layer_spec_;
  const ExpertSpec& spec_;
  const LayerWeights& w_;
  const int64_t n_rows_;
  const bool alone_;
};

}  // namespace

void experts(Worker& worker, size_t layer) noexcept {
  Experts(worker, layer).run();
}

}  // namespace nibble
