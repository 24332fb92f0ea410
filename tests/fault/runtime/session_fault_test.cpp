// Saving and loading a session under every failure of the system: the old file stays
// byte-identical, nothing is left in the folder, the error names path and cause, and the session
// goes on.
#include <cerrno>
#include <cstring>

#include "formats/io/error.h"
#include "runtime/engine/session_file.h"
#include "tests/fault/faults.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_model.h"

using namespace nibble;
using Catch::Matchers::Contains;
using faults::Call;
using faults::Plan;
using Names = std::set<std::string>;

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

// Returns whether the plan struck.
bool check_save(Sessions& s, const Plan& plan) {
  const test::TempDir dir;
  test::write_file(dir / "saved", "the old file");
  std::string message;
  bool struck = false;
  {
    const faults::Armed armed(plan);
    try {
      save_session(s.session, {}, dir / "saved");
    } catch (const Error& error) {
      message = error.message();
    }
    struck = armed.struck();
  }
  INFO(faults::name(plan.call) << " number " << plan.nth << ": " << message);
  CHECK(dir.names() == Names{"saved"});
  const bool is_new =
      message.empty() || message.find("the new file is in place") != std::string::npos;
  CHECK(test::read_file(dir / "saved") == (is_new ? s.good : "the old file"));
  if (!message.empty()) {
    CHECK_THAT(message, Contains(std::strerror(plan.error)) && Contains(dir.path()));
  }
  return struck;
}

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

TEST_CASE("sessions: every call that fails leaves the old file or the whole new one") {
  Sessions s;
  for (const Call call : {Call::open, Call::openat, Call::write, Call::fsync, Call::renameat,
                          Call::fchmod, Call::fallocate}) {
    for (const int error : {EIO, ENOSPC}) {
      for (const bool sticky : {false, true}) {
        bool struck = true;
        for (int nth = 1; struck && nth < 100; ++nth) {
          struck = check_save(s, {call, nth, sticky, error, false});
        }
        CHECK_FALSE(struck);
      }
    }
  }
  for (int nth = 1; check_save(s, {Call::write, nth, true, 0, true}); ++nth) CHECK(nth < 10000);
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
      test::write_file(dir / "saved", "the old file");
      const std::string out = dir / "saved";
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
      CHECK(dir.names() == Names{"saved"});
      CHECK(other.n_used() == (load && !failed ? 4 : 2));
      if (failed && !load) {
        CHECK(test::read_file(out) == "the old file");
      }
    }
    CHECK_FALSE(struck);
  }
}
