// A chat that remembers: one question a line of stdin, answers as they come.
//
//   c++ -std=c++17 chat.cpp $(pkg-config --cflags --libs nibble) -o chat
//   printf 'Name a colour.\nAnother one.\n' | ./chat model.gguf
#include <nibble.hpp>

#include <iostream>
#include <string>

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: chat MODEL < QUESTIONS\n";
    return 2;
  }
  nibble::Env env;
  env.set_log([](std::string_view sentence) { std::cerr << "note: " << sentence << '\n'; });
  const nibble::Model model(env, argv[1]);
  nibble::Session session(model, {{"temp", "0"}, {"predict", "40"}, {"overflow", "drop"}});

  nibble::Messages messages;
  for (std::string line; std::getline(std::cin, line);) {
    messages.push_back({"user", line});
    std::string answer;
    // The conversation is given whole each time; what the session knows of it is not evaluated
    // again.
    for (const nibble::Event& event : session.stream(messages)) {
      if (event.kind == NIBBLE_EVENT_TEXT) {
        std::cout << event.text << std::flush;
        answer += event.text;
      } else if (event.kind == NIBBLE_EVENT_DONE && event.result->dropped_messages > 0) {
        std::cerr << "note: " << event.result->dropped_messages << " old messages left out\n";
      }
    }
    std::cout << '\n';
    messages.push_back({"assistant", answer});
  }
  return 0;
} catch (const nibble::Error& error) {
  std::cerr << error.what() << '\n' << error.hint() << '\n';
  return 1;
}
