// Models: opening, what they are, what a session of one needs.
#include <fmt/format.h>

#include "formats/io/error.h"
#include "runtime/api/objects.h"
#include "runtime/api/option_table.h"
#include "runtime/api/settings.h"

using namespace nibble;
using namespace nibble::api;

namespace {

void log_notes(Shared& shared, const Engine& engine) {
  const std::string& path = engine.file().path();
  for (const std::string& warning : engine.file().warnings()) shared.log(warning);
  for (const std::string& key : engine.sampling().ignored) {
    shared.log(fmt::format("{}: the file asks for {}, which is ignored", path, key));
  }
  if (!engine.template_problem().empty()) {
    shared.log(fmt::format("{}: chat template: {}", path, engine.template_problem()));
  }
}

/// A scalar as text. Errors: not_found, unsupported.
std::string metadata_text(const Metadata& meta, std::string_view key) {
  const MetaValue* value = meta.find(key);
  if (value == nullptr) {
    fail(ErrorCode::not_found, "{}: metadata: expected the key {}, got none", meta.file(), key);
  }
  switch (value->type) {
    case MetaType::string:
      return std::string(value->text);
    case MetaType::boolean:
      return value->bits != 0 ? "true" : "false";
    case MetaType::f32:
    case MetaType::f64:
      return fmt::format("{}", *meta.get_float(key));
    case MetaType::u64:
      return fmt::format("{}", value->bits);
    case MetaType::array:
      break;
    default:
      return fmt::format("{}", *meta.get_int(key));
  }
  fail(ErrorCode::unsupported, "{}: {}: expected a text, number or truth value, got an array",
       meta.file(), key);
}

}  // namespace

nibble_status nibble_model_open(nibble_env* env, const char* path, const nibble_option* options,
                                const nibble_job* job, nibble_model** model, nibble_error* error) {
  return call(error, [&] {
    expect_given(model, "model");
    *model = nullptr;
    const Held<EnvObject> held(env);
    JobScope scope(job);
    EngineOptions how;
    const OptionSetter table[] = {
        {"threads",
         [&](std::string_view n, std::string_view v) {
           how.n_threads = static_cast<int>(whole_option(n, v, 0, Team::kMostThreads));
         }},
        {"isa", [&](std::string_view, std::string_view v) { how.isa = v; }},
        {"no-repack", [&](std::string_view, std::string_view) { how.repack = false; }},
        {"no-mmap", [&](std::string_view, std::string_view) { how.in_memory = true; }}};
    apply_options(options, table);
    how.n_threads = held->shared->threads_of(how.n_threads);
    how.thread_source = held->shared->thread_source;
    how.cancel = scope.cancel();
    how.on_progress = [&](uint64_t done, uint64_t total) { scope.progress(done, total); };
    auto object = std::make_unique<ModelObject>();
    object->model = std::make_shared<const OpenModel>(
        held->shared, Engine::open(std::string(text_of(path, "path")), how));
    log_notes(*held->shared, *object->model->engine);
    *model = static_cast<nibble_model*>(insert(ObjectKind::model, std::move(object)));
  });
}

nibble_status nibble_model_free(nibble_model* model) {
  return free_object(model, ObjectKind::model);
}

nibble_status nibble_model_get_info(nibble_model* model, nibble_model_info* info,
                                    nibble_error* error) {
  return call(error, [&] {
    const Held<ModelObject> held(model);
    const Engine& engine = *held->model->engine;
    nibble_model_info now = NIBBLE_MODEL_INFO_INIT;
    now.has_chat_template = engine.chat_template() != nullptr ? 1 : 0;
    now.n_params = engine.n_params();
    now.n_vocab = engine.n_vocab();
    now.n_embd = engine.n_embd();
    now.n_ctx_train = engine.n_ctx_train();
    now.file_bytes = held->model->file_bytes;
    const std::string description = engine.description();
    description.copy(now.description, sizeof(now.description) - 1);
    give_struct(now, info, "info");
  });
}

nibble_status nibble_model_get_metadata(nibble_model* model, const char* key, nibble_buffer* value,
                                        nibble_error* error) {
  return call(error, [&] {
    const Held<ModelObject> held(model);
    give_buffer(metadata_text(held->model->engine->file().meta(), text_of(key, "key")), value);
  });
}

nibble_status nibble_model_plan(nibble_model* model, const nibble_option* options,
                                nibble_plan* plan, nibble_error* error) {
  return call(error, [&] {
    const Held<ModelObject> held(model);
    const Engine& engine = *held->model->engine;
    const SessionOptions o = read_settings(*held->model, options).session;
    const MemoryPlan p = engine.plan(o.n_ctx, o.n_batch,
                                     o.kv_type.value_or(engine.kernels().default_kv), o.n_threads);
    nibble_plan now = NIBBLE_PLAN_INIT;
    now.fits = p.fits() ? 1 : 0;
    now.n_ctx = p.n_ctx;
    now.weights = p.weights;
    now.keys_and_values = p.kv;
    now.scratch = p.scratch;
    now.available = p.available;
    give_struct(now, plan, "plan");
  });
}
