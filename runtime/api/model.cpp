// Models: opening, what they are, what a session of one needs.
#include <fmt/format.h>

#include "formats/io/error.h"
#include "formats/io/mapped_file.h"
#include "runtime/api/objects.h"
#include "runtime/api/option_table.h"
#include "runtime/api/settings.h"
#include "runtime/engine/inspection.h"
#include "runtime/text/json_text.h"

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

/// A model of a file that the opener opens.
void open_model(nibble_env* env, const FileOpener& opener, const nibble_option* options,
                const nibble_job* job, nibble_model** model) {
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
  how.thread_source = held->shared->thread_source();
  how.cancel = scope.cancel();
  how.on_progress = [&](uint64_t done, uint64_t total) { scope.progress(done, total); };
  std::shared_ptr<const Engine> engine;
  scope.run([&] { engine = Engine::open_with(opener, how); });
  auto object = std::make_unique<ModelObject>();
  object->model = std::make_shared<const OpenModel>(held->shared, std::move(engine));
  log_notes(*held->shared, *object->model->engine);
  *model = static_cast<nibble_model*>(insert(ObjectKind::model, std::move(object)));
}

/// What a host reads, piece by piece, so that it can be asked to stop.
std::unique_ptr<MappedFile> read_through(const nibble_reader& reader, const std::string& name,
                                         const FileOptions& options) {
  constexpr uint64_t kPiece = uint64_t{1} << 20;
  require_memory_for(name, reader.total);
  return std::make_unique<MappedFile>(name, reader.total, [&](std::span<std::byte> to) {
    for (uint64_t at = 0; at < to.size();) {
      const uint64_t n = std::min<uint64_t>(kPiece, to.size() - at);
      if (reader.read(reader.user, at, to.data() + at, n) != 0) {
        fail(ErrorCode::io, "{}: read {} bytes at {}: the reader failed", name, n, at);
      }
      at += n;
      if (options.on_read) options.on_read(at, to.size());
    }
  });
}

}  // namespace

nibble_status nibble_model_open(nibble_env* env, const char* path, const nibble_option* options,
                                const nibble_job* job, nibble_model** model, nibble_error* error) {
  return call(error, [&] {
    const std::string file(text_of(path, "path"));
    open_model(
        env, [&](const FileOptions& how) { return open_model_file(file, how); }, options, job,
        model);
  });
}

nibble_status nibble_model_open_fd(nibble_env* env, int fd, uint64_t offset, uint64_t size,
                                   const nibble_option* options, const nibble_job* job,
                                   nibble_model** model, nibble_error* error) {
  return call(error, [&] {
    const auto opener = [&](const FileOptions& how) {
      return open_tensor_map(std::make_unique<MappedFile>(
                                 fd, offset, size, fmt::format("file descriptor {}", fd), how),
                             how);
    };
    open_model(env, opener, options, job, model);
  });
}

nibble_status nibble_model_open_memory(nibble_env* env, const void* data, size_t size,
                                       const nibble_option* options, const nibble_job* job,
                                       nibble_model** model, nibble_error* error) {
  return call(error, [&] {
    expect_given(data, "data");
    const std::span<const std::byte> bytes(static_cast<const std::byte*>(data), size);
    const auto opener = [&](const FileOptions&) { return open_tensor_memory(bytes, "memory"); };
    open_model(env, opener, options, job, model);
  });
}

nibble_status nibble_model_open_reader(nibble_env* env, const nibble_reader* reader,
                                       const nibble_option* options, const nibble_job* job,
                                       nibble_model** model, nibble_error* error) {
  return call(error, [&] {
    nibble_reader from = NIBBLE_READER_INIT;
    take_struct(reader, &from, "reader");
    expect_given(reinterpret_cast<const void*>(from.read), "read of the reader");
    const auto opener = [&](const FileOptions& how) {
      return open_tensor_map(read_through(from, "reader", how), how);
    };
    open_model(env, opener, options, job, model);
  });
}

nibble_status nibble_inspect(nibble_env* env, const char* path, const nibble_option* options,
                             nibble_buffer* json, nibble_error* error) {
  return call(error, [&] {
    expect_given(json, "json");
    const Held<EnvObject> held(env);
    InspectOptions how;
    const OptionSetter table[] = {
        {"full", [&](std::string_view, std::string_view) { how.most_items = SIZE_MAX; }},
        {"ctx-size",
         [&](std::string_view n, std::string_view v) {
           how.n_ctx = whole_option(n, v, 0, int64_t{1} << 30);
         }},
        {"isa", [&](std::string_view, std::string_view v) { how.isa = v; }}};
    apply_options(options, table);
    const TensorFile file = open_tensor_file(std::string(text_of(path, "path")));
    give_buffer(json_text(inspect_file(file, how)), json);
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
    copy_text(engine.description(), now.description, sizeof(now.description));
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
