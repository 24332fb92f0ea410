// Two models at once in one process, under one budget of threads: each goes on with the text, in a
// thread of its own; then both are printed, and what they held.
//
//   c++ -std=c++17 -pthread two_models.cpp $(pkg-config --cflags --libs nibble) -o two_models
//   ./two_models first.gguf second.gguf "Once upon a time"
#include <nibble.hpp>

#include <exception>
#include <future>
#include <iostream>
#include <string>

static std::string go_on(const nibble::Model& model, const std::string& text) {
  nibble::Session session(model, {{"temp", "0"}, {"predict", "24"}, {"ctx-size", "512"}});
  std::string more;
  session.complete(text, [&more](const nibble::Event& event) {
    if (event.kind == NIBBLE_EVENT_TEXT) more += event.text;
    return true;  // go on
  });
  return more;
}

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::cerr << "usage: two_models MODEL MODEL TEXT\n";
    return 2;
  }
  // Both models together never run more than two threads, whatever each of them asks for.
  nibble::Env env({{"threads", "2"}});
  const nibble::Model first(env, argv[1]);
  const nibble::Model second(env, argv[2]);
  // A model does not change and may be used by any number of threads.
  auto a = std::async(std::launch::async, [&] { return go_on(first, argv[3]); });
  auto b = std::async(std::launch::async, [&] { return go_on(second, argv[3]); });
  std::cout << a.get() << '\n' << b.get() << '\n';

  const nibble::EnvUsage usage = env.usage();
  std::cerr << usage.n_models << " models, " << usage.threads << " threads, "
            << usage.file_bytes / 1000000 << " MB of files, " << usage.bytes / 1000000
            << " MB of memory\n";
  return 0;
} catch (const nibble::Error& error) {
  std::cerr << error.what() << '\n' << error.hint() << '\n';
  return 1;
}
