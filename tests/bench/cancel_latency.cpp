// How long a request to stop takes, through the C API, while a model is opened, a prompt is
// evaluated, an answer is generated and a file is quantized: milliseconds from the request to the
// return of the call, at moments spread over the work.
// usage: cancel_latency MODEL.gguf [REPEATS]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/api/nibble.h"

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

struct Work {
  const char* name;
  double most_ms;                      // the request comes before
  std::function<nibble_status()> run;  // until it is stopped
  std::function<nibble_status()> stop;
  std::function<void()> prepare;  // may be empty
};

void measure(const Work& work, int repeats) {
  std::vector<double> all;
  int too_late = 0;
  for (int i = 0; i < repeats; ++i) {
    if (work.prepare) work.prepare();
    Clock::time_point asked{};
    std::atomic<bool> began{false};
    std::thread stopper([&] {
      while (!began) std::this_thread::yield();
      std::this_thread::sleep_for(
          std::chrono::duration<double, std::milli>(work.most_ms * (i + 0.5) / repeats));
      asked = Clock::now();
      work.stop();
    });
    began = true;
    const nibble_status status = work.run();
    const Clock::time_point ended = Clock::now();
    stopper.join();
    if (status != NIBBLE_CANCELLED || ended < asked) {
      ++too_late;
      continue;
    }
    all.push_back(std::chrono::duration<double, std::milli>(ended - asked).count());
  }
  std::sort(all.begin(), all.end());
  if (all.empty()) {
    std::printf("%-9s none was in time\n", work.name);
    return;
  }
  std::printf("%-9s median %6.1f ms, longest %6.1f ms, %zu requests (%d after the end)\n",
              work.name, all[all.size() / 2], all.back(), all.size(), too_late);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: cancel_latency MODEL.gguf [REPEATS]\n");
    return 1;
  }
  const char* path = argv[1];
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 20;
  nibble_error error = NIBBLE_ERROR_INIT;
  nibble_env* env = nullptr;
  nibble_model* model = nullptr;
  nibble_session* session = nullptr;
  nibble_job job = NIBBLE_JOB_INIT;
  const nibble_option options[] = {{"ctx-size", "4096"}, {nullptr, nullptr}};
  const auto opened = Clock::now();
  if (nibble_env_create(nullptr, &env, &error) != 0 ||
      nibble_cancel_create(env, &job.cancel, &error) != 0 ||
      nibble_model_open(env, path, nullptr, nullptr, &model, &error) != 0 ||
      nibble_session_create(model, options, &session, &error) != 0) {
    std::fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  const double open_ms = ms_since(opened);
  std::printf("opened in %.0f ms\n", open_ms);
  const auto request = [&] { return nibble_cancel_request(job.cancel); };
  const auto reset = [&] { nibble_cancel_reset(job.cancel); };

  measure({"open", open_ms * 0.9,
           [&] {
             nibble_model* other = nullptr;
             const nibble_status status =
                 nibble_model_open(env, path, nullptr, &job, &other, nullptr);
             nibble_model_free(other);
             return status;
           },
           request, reset},
          repeats);

  std::vector<int32_t> prompt(2048);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(100 + i * 7 % 1000);
  const auto stop = [&] { return nibble_session_cancel(session); };
  const auto forget = [&] { nibble_session_rewind(session, 0, nullptr); };
  measure({"prefill", 3000,
           [&] {
             return nibble_evaluate(session, prompt.data(), prompt.size(), nullptr, nullptr,
                                    nullptr);
           },
           stop, forget},
          repeats);
  const auto decode = [&] {
    nibble_result result = NIBBLE_RESULT_INIT;
    const nibble_status status =
        nibble_complete(session, "once upon", 9, nullptr, nullptr, &result, nullptr);
    return status == NIBBLE_OK && result.finish == NIBBLE_FINISH_CANCELLED ? NIBBLE_CANCELLED
                                                                           : status;
  };
  measure({"decode", 1500, decode, stop, {}}, repeats);
  const std::string out = std::filesystem::temp_directory_path() / "cancel_latency.gguf";
  const nibble_option requantize[] = {{"allow-requantize", ""}, {nullptr, nullptr}};
  measure(
      {"quantize", 5000,
       [&] { return nibble_quantize(env, path, out.c_str(), "Q4_K_M", requantize, &job, nullptr); },
       request,
       [&] {
         reset();
         for (const char* end : {"", ".nibble-part", ".nibble-journal"}) {
           std::filesystem::remove(out + end);
         }
       }},
      repeats);
  for (const char* end : {"", ".nibble-part", ".nibble-journal"}) {
    std::filesystem::remove(out + end);
  }
  nibble_session_free(session);
  nibble_model_free(model);
  nibble_cancel_free(job.cancel);
  nibble_env_free(env);
  return 0;
}
