// Work on files: verify, quantize, convert.
#include "formats/io/error.h"
#include "formats/tensor_file.h"
#include "runtime/api/objects.h"
#include "runtime/api/option_table.h"
#include "runtime/convert/convert.h"
#include "runtime/convert/quant_mix.h"
#include "runtime/convert/quantize_file.h"
#include "runtime/convert/verify_file.h"
#include "runtime/threads/team.h"

using namespace nibble;
using namespace nibble::api;

namespace {

using Text = std::string_view;

OptionSetter threads_option(int& to) {
  return {"threads", [&to](Text name, Text value) {
            to = static_cast<int>(whole_option(name, value, 0, Team::kMostThreads));
          }};
}

OptionSetter flag_option(Text name, bool& to) {
  return {name, [&to](Text, Text) { to = true; }};
}

OptionSetter tensor_type_option(Text name, std::optional<DType>& to) {
  return {name, [&to](Text n, Text value) { to = type_option(n, value); }};
}

void check_damages(const TensorFile& file, const VerifyResult& result) {
  if (result.damages.empty()) return;
  const TensorDamage& first = result.damages.front();
  fail(ErrorCode::bad_file, "{}: tensor {}: {} ({} of {} tensors are damaged)", file.path(),
       first.tensor,
       first.hash_differs ? "expected the bytes of its hash, got others"
                          : "expected finite numbers, got others",
       result.damages.size(), result.n_tensors);
}

}  // namespace

nibble_status nibble_verify(nibble_env* env, const char* path, const nibble_job* job,
                            nibble_error* error) {
  return call(error, [&] {
    const Held<EnvObject> held(env);
    JobScope scope(job);
    const TensorFile file = open_tensor_file(std::string(text_of(path, "path")));
    VerifyFileOptions options;
    options.n_threads = held->shared->threads_of(0);
    options.thread_source = held->shared->thread_source();
    options.cancel = scope.cancel();
    options.on_progress = [&](uint64_t done, uint64_t total) { scope.progress(done, total); };
    scope.run([&] { check_damages(file, verify_file(file, options)); });
  });
}

nibble_status nibble_quantize(nibble_env* env, const char* in, const char* out, const char* type,
                              const nibble_option* options, const nibble_job* job,
                              nibble_error* error) {
  return call(error, [&] {
    const Held<EnvObject> held(env);
    JobScope scope(job);
    QuantizeChoices choices;
    QuantizeFileOptions how;
    const OptionSetter table[] = {
        threads_option(how.n_threads),
        flag_option("pure", choices.pure),
        flag_option("allow-requantize", choices.allow_requantize),
        flag_option("strict", choices.strict),
        tensor_type_option("output-tensor-type", choices.output_type),
        tensor_type_option("token-embedding-type", choices.embedding_type)};
    apply_options(options, table);
    choices.mix = find_mix(text_of(type, "type"));
    if (choices.mix == nullptr) {
      fail(ErrorCode::bad_argument, "type: expected one such as Q4_K_M, got '{}'", type);
    }
    const TensorFile file = open_tensor_file(std::string(text_of(in, "in")));
    const QuantizePlan plan = plan_quantize(file, choices);
    how.n_threads = held->shared->threads_of(how.n_threads);
    how.thread_source = held->shared->thread_source();
    how.cancel = scope.cancel();
    how.on_progress = [&](const QuantizeProgress& p) { scope.progress(p.done, p.total); };
    const std::string to(text_of(out, "out"));
    scope.run([&] { quantize_file(file, to, plan, how); });
  });
}

nibble_status nibble_convert(nibble_env* env, const char* in, const char* out,
                             const nibble_option* options, const nibble_job* job,
                             nibble_error* error) {
  return call(error, [&] {
    const Held<EnvObject> held(env);
    JobScope scope(job);
    ConvertOptions how;
    const OptionSetter table[] = {threads_option(how.n_threads),
                                  flag_option("allow-requantize", how.allow_requantize),
                                  tensor_type_option("type", how.type),
                                  {"tokenizer", [&](Text, Text value) { how.tokenizer = value; }}};
    apply_options(options, table);
    how.n_threads = held->shared->threads_of(how.n_threads);
    how.thread_source = held->shared->thread_source();
    how.cancel = scope.cancel();
    how.on_progress = [&](uint64_t done, uint64_t total) { scope.progress(done, total); };
    const std::string from(text_of(in, "in"));
    const std::string to(text_of(out, "out"));
    ConvertResult result;
    scope.run([&] { result = convert_model(from, to, how); });
    for (const std::string& note : result.notes) held->shared->log(note);
  });
}
