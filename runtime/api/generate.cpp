// Generation: begun, then event by event; nibble_chat and nibble_complete are loops over that.
#include <limits>

#include "formats/io/error.h"
#include "runtime/api/conversations.h"

using namespace nibble;
using namespace nibble::api;

namespace {

constexpr size_t kMostAnswers = 1024;

nibble_finish finish_of(FinishReason why) noexcept {
  switch (why) {
    case FinishReason::stop:
      return NIBBLE_FINISH_STOP;
    case FinishReason::length:
      return NIBBLE_FINISH_LENGTH;
    case FinishReason::context:
      return NIBBLE_FINISH_CONTEXT;
    case FinishReason::cancelled:
      break;
  }
  return NIBBLE_FINISH_CANCELLED;
}

void begin(SessionObject& s, const std::vector<int32_t>& prompt, bool thinks) {
  s.generation = std::make_unique<Generation>(s.session, s.chooser(), prompt, s.settings.generate);
  s.splitter = ReasoningSplitter(thinks);
  s.remembers = false;
  s.answer.clear();
  s.result = NIBBLE_RESULT_INIT;
  s.result.n_prompt = static_cast<int64_t>(prompt.size());
}

void begin_chat(SessionObject& s, std::span<const nibble_message> messages) {
  Conversation conversation =
      conversation_of(s.model->engine, messages, s.settings.conversation, &s.answers);
  const bool goes_on = continues(conversation);
  DropReport dropped;
  const std::vector<int32_t> prompt = goes_on
                                          ? conversation.continuation(s.session.n_ctx(), &dropped)
                                          : conversation.prompt(s.session.n_ctx(), &dropped);
  constexpr size_t kTail = 16;
  const std::span<const int32_t> tail = std::span(prompt).last(std::min(prompt.size(), kTail));
  begin(s, prompt, ReasoningSplitter::opened_by(s.engine().tokenizer().decode(tail, true)));
  s.remembers = !goes_on;
  s.result.dropped_messages = dropped.messages;
  s.result.dropped_tokens = dropped.tokens;
}

void begin_text(SessionObject& s, const char* text, size_t text_size) {
  if (text_size > 0) expect_given(text, "text");
  begin(s,
        s.engine().tokenizer().encode(std::string_view(text_size > 0 ? text : "", text_size), true,
                                      true),
        false);
  s.splitter = ReasoningSplitter::none();
}

/// What the generation's end means for the session.
void conclude(SessionObject& s) {
  const GenerateResult& r = s.generation->result();
  s.result.finish = finish_of(r.finish);
  s.result.n_reused = r.prompt.n_reused;
  s.result.n_generated = static_cast<int64_t>(r.tokens.size());
  s.result.prompt_seconds = r.prompt_seconds;
  s.result.generate_seconds = r.decode_seconds;
  if (s.remembers && !s.answer.empty()) {
    s.answers.push_back({s.answer, r.tokens});
    if (s.answers.size() > kMostAnswers) s.answers.pop_front();
  }
}

/// One step of the generation, whose events are then in the queue.
void step(SessionObject& s) {
  const auto emit = [&s](bool reasoning, std::string_view text) {
    if (!reasoning) s.answer += text;
    s.events.push_back({reasoning ? NIBBLE_EVENT_REASONING : NIBBLE_EVENT_TEXT, std::string(text)});
  };
  const Generation::Step done = s.generation->step(&s.cancel);
  s.splitter.push(s.generation->text(), emit);
  if (done == Generation::Step::prompt) {
    s.events.push_back({NIBBLE_EVENT_PROGRESS, "",
                        static_cast<uint64_t>(s.generation->prompt_done()),
                        static_cast<uint64_t>(s.generation->prompt_total())});
  } else if (done == Generation::Step::done) {
    s.splitter.finish(emit);
    conclude(s);
    s.generation.reset();
    s.events.push_back({NIBBLE_EVENT_DONE, ""});
  } else if (s.events.empty()) {
    s.events.push_back({NIBBLE_EVENT_TEXT, ""});
  }
}

/// The next event, which lives until the next call. Errors: not_found, the session's.
nibble_event next_event(SessionObject& s) {
  if (s.events.empty()) {
    if (s.generation == nullptr) {
      fail(ErrorCode::not_found, "generation: expected one that was begun, got none");
    }
    try {
      step(s);
    } catch (...) {
      s.end_generation();
      throw;
    }
  }
  s.last_event = std::move(s.events.front());
  s.events.pop_front();
  nibble_event event = progress_event(s.last_event.done, s.last_event.total);
  event.kind = s.last_event.kind;
  event.text = s.last_event.text.c_str();
  event.text_size = s.last_event.text.size();
  event.result = s.last_event.kind == NIBBLE_EVENT_DONE ? &s.result : nullptr;
  return event;
}

/// Ends the generation however its loop is left, also by an exception of the callback's.
struct EndsGeneration {
  SessionObject& session;
  ~EndsGeneration() { session.end_generation(); }
};

void run(SessionObject& s, nibble_on_event on_event, void* user, nibble_result* result) {
  const EndsGeneration at_the_end{s};
  bool refused = false;
  for (;;) {
    const nibble_event event = next_event(s);
    const bool done = event.kind == NIBBLE_EVENT_DONE;
    const bool silent = event.kind != NIBBLE_EVENT_PROGRESS && !done && event.text_size == 0;
    if (on_event != nullptr && !silent && (!refused || done) && on_event(&event, user) != 0) {
      refused = true;
      if (s.generation != nullptr) s.generation->refuse();
      s.cancel.request();
    }
    if (done) break;
  }
  if (result != nullptr) give_struct(s.result, result, "result");
}

}  // namespace

nibble_status nibble_chat(nibble_session* session, const nibble_message* messages,
                          size_t n_messages, nibble_on_event on_event, void* user,
                          nibble_result* result, nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    held->start_work();
    if (result != nullptr) expect_struct(result, "result");
    begin_chat(*held, {messages, n_messages});
    run(*held, on_event, user, result);
  });
}

nibble_status nibble_complete(nibble_session* session, const char* text, size_t text_size,
                              nibble_on_event on_event, void* user, nibble_result* result,
                              nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    held->start_work();
    if (result != nullptr) expect_struct(result, "result");
    begin_text(*held, text, text_size);
    run(*held, on_event, user, result);
  });
}

nibble_status nibble_chat_begin(nibble_session* session, const nibble_message* messages,
                                size_t n_messages, nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    held->start_work();
    begin_chat(*held, {messages, n_messages});
  });
}

nibble_status nibble_complete_begin(nibble_session* session, const char* text, size_t text_size,
                                    nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    held->start_work();
    begin_text(*held, text, text_size);
  });
}

nibble_status nibble_next(nibble_session* session, nibble_event* event, nibble_error* error) {
  return call(error, [&] {
    HeldSession held(session);
    expect_struct(event, "event");
    const nibble_event next = next_event(*held);
    held->refuse_if_freed();
    give_struct(next, event, "event");
  });
}
