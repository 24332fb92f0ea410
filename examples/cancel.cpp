// A window's thread and a worker: the worker answers, the window shows what came and stops it. Here
// the "window" is main(): it stops the first answer after ten pieces of text, and asks again.
//
//   c++ -std=c++17 -pthread cancel.cpp $(pkg-config --cflags --libs nibble) -o cancel
//   ./cancel model.gguf "Tell me a story."
#include <nibble.hpp>

#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>

// What the worker hands to the window. The callback only stores: it never waits for the window.
struct Inbox {
  std::mutex mutex;
  std::condition_variable changed;
  std::string text;
  int pieces = 0;
  bool done = false;
};

static nibble::Result answer(nibble::Session& session, const std::string& question, Inbox& inbox) {
  return session.chat({{"user", question}}, [&inbox](const nibble::Event& event) {
    const std::lock_guard<std::mutex> lock(inbox.mutex);
    if (event.kind == NIBBLE_EVENT_TEXT) inbox.text += event.text, ++inbox.pieces;
    if (event.kind == NIBBLE_EVENT_DONE) inbox.done = true;
    inbox.changed.notify_one();
    return true;
  });
}

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: cancel MODEL QUESTION\n";
    return 2;
  }
  nibble::Env env;
  const nibble::Model model(env, argv[1]);
  nibble::Session session(model, {{"temp", "0"}});

  Inbox inbox;
  nibble::Result result = NIBBLE_RESULT_INIT;
  std::thread worker([&] { result = answer(session, argv[2], inbox); });
  {
    std::unique_lock<std::mutex> lock(inbox.mutex);
    inbox.changed.wait(lock, [&] { return inbox.pieces >= 10 || inbox.done; });
  }
  const auto pressed = std::chrono::steady_clock::now();
  session.cancel();  // from this thread, while the other is in the call
  worker.join();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - pressed;
  std::cout << inbox.text << '\n';
  std::cerr << (result.finish == NIBBLE_FINISH_CANCELLED ? "stopped after " : "done after ")
            << took.count() << " ms\n";

  // The session goes on as if nothing had happened.
  Inbox again;
  session.set("predict", "24");
  answer(session, argv[2], again);
  std::cout << again.text << '\n';
  return 0;
} catch (const nibble::Error& error) {
  std::cerr << error.what() << '\n' << error.hint() << '\n';
  return 1;
}
