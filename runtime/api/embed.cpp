// Embeddings.
#include <cstdlib>
#include <new>

#include "formats/io/error.h"
#include "runtime/api/objects.h"
#include "runtime/api/option_table.h"
#include "runtime/engine/embedder.h"
#include "runtime/threads/team.h"

using namespace nibble;
using namespace nibble::api;

namespace {

// Texts between two reports of progress, and two looks at the request to stop.
constexpr size_t kTextsAtOnce = 32;

Pooling pooling_option(std::string_view name, std::string_view value) {
  if (value == "mean") return Pooling::mean;
  if (value == "cls") return Pooling::cls;
  if (value == "last") return Pooling::last;
  if (value == "none") return Pooling::none;
  fail(ErrorCode::bad_argument, "{}: expected mean, cls, last or none, got '{}'", name, value);
}

EmbedderOptions read_options(const OpenModel& model, const nibble_option* options) {
  EmbedderOptions how;
  const OptionSetter table[] = {
      {"pooling",
       [&](std::string_view n, std::string_view v) { how.pooling = pooling_option(n, v); }},
      {"dims", [&](std::string_view n, std::string_view v) { how.n_dims = whole_option(n, v, 1); }},
      {"no-normalize", [&](std::string_view, std::string_view) { how.normalize = false; }},
      {"truncate", [&](std::string_view, std::string_view) { how.truncate = true; }},
      {"threads", [&](std::string_view n, std::string_view v) {
         how.n_threads = static_cast<int>(whole_option(n, v, 0, Team::kMostThreads));
       }}};
  apply_options(options, table);
  how.n_threads = model.shared->threads_of(how.n_threads);
  how.thread_source = model.shared->thread_source();
  return how;
}

std::vector<std::string> texts_of(const char* const* texts, size_t n_texts) {
  if (n_texts > 0) expect_given(texts, "texts");
  std::vector<std::string> all;
  for (size_t i = 0; i < n_texts; ++i) all.emplace_back(text_of(texts[i], "text"));
  return all;
}

void give(const std::vector<Embedding>& all, int64_t n_dims, nibble_embeddings* to) {
  nibble_embeddings now = NIBBLE_EMBEDDINGS_INIT;
  now.n_dims = n_dims;
  for (const Embedding& e : all) now.n_rows += e.n_rows;
  const auto n = static_cast<size_t>(now.n_rows * n_dims);
  now.values = static_cast<float*>(std::malloc((n + 1) * sizeof(float)));
  now.first_row = static_cast<int64_t*>(std::malloc((all.size() + 1) * sizeof(int64_t)));
  if (now.values == nullptr || now.first_row == nullptr) {
    std::free(now.values);
    std::free(now.first_row);
    throw std::bad_alloc();
  }
  float* values = now.values;
  int64_t row = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    now.first_row[i] = row;
    row += all[i].n_rows;
    values = std::copy(all[i].values.begin(), all[i].values.end(), values);
  }
  now.first_row[all.size()] = row;
  give_struct(now, to, "embeddings");
}

}  // namespace

nibble_status nibble_embed(nibble_model* model, const char* const* texts, size_t n_texts,
                           const nibble_option* options, const nibble_job* job,
                           nibble_embeddings* embeddings, nibble_error* error) {
  return call(error, [&] {
    const Held<ModelObject> held(model);
    expect_struct(embeddings, "embeddings");
    if (embeddings->size < sizeof(nibble_embeddings)) {  // what is cut off could not be freed
      fail(ErrorCode::bad_argument, "embeddings: size: expected {} or more, got {}",
           sizeof(nibble_embeddings), embeddings->size);
    }
    JobScope scope(job);
    Embedder embedder(held->model->engine, read_options(*held->model, options));
    const std::vector<std::string> all = texts_of(texts, n_texts);
    std::vector<Embedding> vectors;
    scope.run([&] {
      for (size_t at = 0; at < all.size(); at += kTextsAtOnce) {
        const std::span<const std::string> some =
            std::span(all).subspan(at, std::min(kTextsAtOnce, all.size() - at));
        for (Embedding& e : embedder.of(some, scope.cancel(), at)) vectors.push_back(std::move(e));
        scope.progress(vectors.size(), all.size());
      }
    });
    give(vectors, embedder.n_dims(), embeddings);
  });
}

void nibble_embeddings_free(nibble_embeddings* embeddings) {
  if (embeddings == nullptr) return;
  std::free(embeddings->values);
  std::free(embeddings->first_row);
  embeddings->values = nullptr;
  embeddings->first_row = nullptr;
  embeddings->n_rows = 0;
}
