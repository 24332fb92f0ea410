#include "runtime/engine/compare_models.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "formats/io/error.h"
#include "runtime/engine/session.h"
#include "runtime/threads/team.h"

namespace nibble {
namespace {

struct Scores {
  double divergence = 0;
  double loss = 0;        // -log of the next token's probability, of the first model
  double other_loss = 0;  // of the second
  bool same_top = false;
};

/// log(sum(exp(x))) and the index of the largest x, the first of equals.
double log_sum_exp(std::span<const float> x, size_t& top) {
  top = static_cast<size_t>(std::max_element(x.begin(), x.end()) - x.begin());
  const float highest = x[top];
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(std::exp(v - highest));
  return static_cast<double>(highest) + std::log(sum);
}

/// p, q [n_vocab]: logits of the two models for the same position.
Scores score(std::span<const float> p, std::span<const float> q, int32_t next) {
  size_t top_p = 0;
  size_t top_q = 0;
  const double log_p = log_sum_exp(p, top_p);
  const double log_q = log_sum_exp(q, top_q);
  Scores out;
  const auto normal_p = static_cast<float>(log_p);
  for (size_t i = 0; i < p.size(); ++i) {
    const auto weight = static_cast<double>(std::exp(p[i] - normal_p));
    out.divergence +=
        weight * ((static_cast<double>(p[i]) - log_p) - (static_cast<double>(q[i]) - log_q));
  }
  out.divergence = std::max(out.divergence, 0.0);  // below zero by rounding only
  out.loss = log_p - static_cast<double>(p[static_cast<size_t>(next)]);
  out.other_loss = log_q - static_cast<double>(q[static_cast<size_t>(next)]);
  out.same_top = top_p == top_q;
  return out;
}

/// A model that is set beside the first, and its scores so far.
struct Candidate {
  Candidate(std::shared_ptr<const Engine> engine, const SessionOptions& options)
      : file(engine->file().path()), session(std::move(engine), options) {}
  std::string file;
  Session session;
  std::vector<Scores> scores;
};

class Comparison {
 public:
  Comparison(std::shared_ptr<const Engine> model,
             std::span<const std::shared_ptr<const Engine>> others, const CompareOptions& options)
      : options_(options),
        n_vocab_(static_cast<size_t>(model->n_vocab())),
        file_(model->file().path()),
        session_(std::move(model), session_options(options)),
        team_(session_.n_threads()) {
    for (const auto& other : others) {
      candidates_.push_back(std::make_unique<Candidate>(other, session_options(options)));
    }
  }

  void chunk(const std::vector<int32_t>& ids) {
    const int64_t first = options_.chunk_size / 2;
    evaluate(session_, ids, first, logits_);
    const int64_t n = options_.chunk_size - 1 - first;  // the last has no next token
    for (const auto& other : candidates_) {
      evaluate(other->session, ids, first, other_logits_);
      other->scores.resize(other->scores.size() + static_cast<size_t>(n));
      Scores* out = other->scores.data() + other->scores.size() - n;
      TileCounter rows;
      team_.run([&](int, Team&) {
        for (int64_t r = rows.next(); r < n; r = rows.next()) {
          const size_t at = static_cast<size_t>(r) * n_vocab_;
          out[r] = score({logits_.data() + at, n_vocab_}, {other_logits_.data() + at, n_vocab_},
                         ids[static_cast<size_t>(first + r) + 1]);
        }
      });
    }
  }

  std::vector<ModelComparison> results() const {
    std::vector<ModelComparison> out;
    for (const auto& other : candidates_) out.push_back(result(*other));
    return out;
  }

 private:
  ModelComparison result(const Candidate& other) const {
    ModelComparison out;
    double squares = 0;
    double loss = 0;
    double other_loss = 0;
    for (const Scores& s : other.scores) {
      ++out.n_tokens;
      out.divergence += s.divergence;
      out.divergences.push_back(s.divergence);
      squares += s.divergence * s.divergence;
      out.divergence_most = std::max(out.divergence_most, s.divergence);
      out.same_top += s.same_top ? 1 : 0;
      loss += s.loss;
      other_loss += s.other_loss;
    }
    const auto n = static_cast<double>(out.n_tokens);
    out.divergence /= n;
    out.same_top /= n;
    const double variance = std::max(squares / n - out.divergence * out.divergence, 0.0);
    out.divergence_error = n > 1 ? std::sqrt(variance / (n - 1)) : 0;
    out.perplexity = std::exp(loss / n);
    out.other_perplexity = std::exp(other_loss / n);
    if (!std::isfinite(out.perplexity)) fail_numbers(file_);
    if (!std::isfinite(out.other_perplexity) || !std::isfinite(out.divergence)) {
      fail_numbers(other.file);
    }
    return out;
  }
  [[noreturn]] static void fail_numbers(const std::string& file) {
    fail(ErrorCode::bad_file, "{}: expected finite logits, got an infinite one or NaN", file);
  }
  static SessionOptions session_options(const CompareOptions& options) {
    SessionOptions out;
    out.n_ctx = options.chunk_size;
    out.n_threads = options.n_threads;
    return out;
  }
  /// Logits of positions `first` on: out [n, n_vocab].
  void evaluate(Session& session, const std::vector<int32_t>& ids, int64_t first,
                std::vector<float>& out) const {
    out.resize((ids.size() - static_cast<size_t>(first)) * n_vocab_);
    session.evaluate_all(
        ids,
        [&](int64_t at, int64_t n_rows, const float* logits) {
          std::copy(logits, logits + static_cast<size_t>(n_rows) * n_vocab_,
                    out.data() + static_cast<size_t>(at - first) * n_vocab_);
        },
        options_.cancel, first);
  }

  const CompareOptions& options_;
  size_t n_vocab_;
  std::string file_;
  Session session_;
  Team team_;
  std::vector<std::unique_ptr<Candidate>> candidates_;
  std::vector<float> logits_;        // [rows, n_vocab]
  std::vector<float> other_logits_;  // [rows, n_vocab]
};

}  // namespace

std::vector<ModelComparison> compare_models(std::shared_ptr<const Engine> model,
                                            std::span<const std::shared_ptr<const Engine>> others,
                                            std::string_view text, const CompareOptions& options) {
  const Tokenizer& tokenizer = model->tokenizer();
  const std::vector<int32_t> ids = tokenizer.encode(text, true, false);
  for (const auto& other : others) {
    if (model->n_vocab() == other->n_vocab() && ids == other->tokenizer().encode(text, true, false))
      continue;
    fail(ErrorCode::bad_argument, "{} and {}: expected models with the same tokens, got others",
         model->file().path(), other->file().path());
  }
  const auto n_ids = static_cast<int64_t>(ids.size());
  int64_t n_chunks = n_ids / options.chunk_size;
  if (options.most_chunks > 0) n_chunks = std::min(n_chunks, options.most_chunks);
  if (n_chunks == 0) {
    fail(ErrorCode::bad_argument, "text: expected at least {} tokens, one chunk, got {}",
         options.chunk_size, n_ids);
  }
  const int32_t bos = tokenizer.adds_bos() ? tokenizer.bos() : -1;
  Comparison comparison(std::move(model), others, options);
  for (int64_t i = 0; i < n_chunks; ++i) {
    const auto begin = ids.begin() + static_cast<ptrdiff_t>(i * options.chunk_size);
    std::vector<int32_t> chunk(begin, begin + static_cast<ptrdiff_t>(options.chunk_size));
    if (bos >= 0) chunk[0] = bos;
    comparison.chunk(chunk);
    if (options.on_progress) options.on_progress(i + 1, n_chunks);
  }
  return comparison.results();
}

ModelComparison compare_models(std::shared_ptr<const Engine> model,
                               std::shared_ptr<const Engine> other, std::string_view text,
                               const CompareOptions& options) {
  return compare_models(std::move(model), {&other, 1}, text, options).front();
}

}  // namespace nibble
