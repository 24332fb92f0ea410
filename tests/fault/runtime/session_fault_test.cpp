// Saving and loading a session under every failure of the system: the old file stays
// byte-identical, nothing is left in the folder, the error names path and cause, and the session
// goes on.
#include "runtime/engine/session_file.h"
#include "tests/fault/outcome.h"
#include "tests/support/toy_model.h"

using namespace nibble;
using Catch::Matchers::Contains;
using faults::Call;
using faults::Plan;
using faults::Writing;

namespace {

struct Sessions {
  Sessions() : engine(open()), session(engine, options()) {
    session.sync(std::vector<int32_t>{1, 2, 3, 4});
    save_session(session, {}, dir / "good");
    good = test::read_file(dir / "good");
  }
  std::shared_ptr<const Engine> open() const {
    test::write_file(dir / "toy.gguf", test::toy_model("llama"));
    return Engine::open(dir / "toy.gguf");
  }
  static SessionOptions options() {
    SessionOptions o;
    o.n_threads = 1;  // faults are for one thread at a time
    return o;
  }

  test::TempDir dir;
  std::shared_ptr<const Engine> engine;
  Session session;
  std::string good;
};

Writing saving(const Session& session) {
  return {"save",
          [&session](const test::TempDir& dir) { save_session(session, {}, dir / faults::kOut); }};
}

// Returns whether the plan struck.
bool check_load(Sessions& s, const Plan& plan) {
  Session other(s.engine, Sessions::options());
  other.sync(std::vector<int32_t>{9, 8});
  std::string message;
  bool struck = false;
  {
    const faults::Armed armed(plan);
    try {
      load_session(other, s.dir / "good");
    } catch (const Error& error) {
      message = error.message();
    }
    struck = armed.struck();
  }
  INFO(faults::name(plan.call) << " number " << plan.nth << ": " << message);
  CHECK(other.n_used() == (message.empty() ? 4 : 2));
  if (!message.empty()) {
    CHECK_THAT(message, Contains(std::strerror(plan.error)) && Contains("good"));
  }
  return struck;
}

}  // namespace

TEST_CASE("sessions: each system call of saving fails, once and for ever") {
  const Sessions s;
  const Writing save = saving(s.session);
  CHECK(save.undisturbed() == s.good);
  faults::check_failures(
      save, {Call::open, Call::openat, Call::write, Call::fsync, Call::ftruncate, Call::fallocate,
             Call::fchmod, Call::fcntl, Call::renameat, Call::close, Call::fstat});
}

TEST_CASE("sessions: interrupted calls and short writes of saving change nothing") {
  const Sessions s;
  faults::check_interruptions(saving(s.session));
}

TEST_CASE("sessions: every call that fails while one is loaded leaves the session as it was") {
  Sessions s;
  for (const Call call : {Call::open, Call::mmap, Call::fstat}) {
    bool struck = true;
    for (int nth = 1; struck && nth < 100; ++nth) {
      struck = check_load(s, {call, nth, true, EIO, false});
    }
    CHECK_FALSE(struck);
  }
}

TEST_CASE("sessions: without memory nothing is lost") {
  Sessions s;
  for (const bool load : {false, true}) {
    bool struck = true;
    for (long nth = 1; struck && nth < 1000; ++nth) {
      Session other(s.engine, Sessions::options());
      other.sync(std::vector<int32_t>{9, 8});
      const test::TempDir dir;
      test::write_file(dir / faults::kOut, std::string(faults::kOld));
      const std::string out = dir / faults::kOut;
      const std::string good = s.dir / "good";
      bool failed = false;
      {
        const faults::NoMemory none(nth, false);
        try {
          load ? (void)load_session(other, good) : save_session(other, {}, out);
        } catch (const std::bad_alloc&) {
          failed = true;
        } catch (const Error&) {
          failed = true;
        }
        struck = none.struck();
      }
      INFO((load ? "load " : "save ") << nth);
      CHECK(dir.names() == std::set<std::string>{faults::kOut});
      CHECK(other.n_used() == (load && !failed ? 4 : 2));
      if (failed && !load) {
        CHECK(test::read_file(out) == faults::kOld);
      }
    }
    CHECK_FALSE(struck);
  }
}
