#pragma once
// What must hold when a file is written and a system call fails: all old with an error that names
// path and cause, or all new; never another file in the folder. Every writer's test asks this of
// the same calls and causes.
#include <cerrno>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>

#include "formats/io/error.h"
#include "tests/fault/faults.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

namespace nibble::faults {

inline constexpr const char* kOut = "out";
inline constexpr const char* kOld = "the old file";

/// Something that writes the file kOut of a folder.
struct Writing {
  std::string name;
  std::function<void(const test::TempDir&)> write;
  std::map<std::string, std::string> inputs = {};  // name in the folder -> bytes
  std::string other_input = {};  // part of the path of one that lies elsewhere; may be empty

  void prepare(const test::TempDir& dir) const {
    for (const auto& [input, bytes] : inputs) test::write_file(dir / input, bytes);
    test::write_file(dir / kOut, std::string(kOld));
  }
  std::string undisturbed() const {
    const test::TempDir dir;
    prepare(dir);
    write(dir);
    return test::read_file(dir / kOut);
  }
  /// The folder holds the inputs as they were, the output and nothing else.
  void check_folder(const test::TempDir& dir) const {
    std::set<std::string> names{kOut};
    for (const auto& [input, bytes] : inputs) {
      names.insert(input);
      CHECK(test::read_file(dir / input) == bytes);
    }
    CHECK(dir.names() == names);
  }
};

/// fresh: what is written when nothing fails. Returns whether the plan struck.
inline bool check_outcome(const Writing& writing, const Plan& plan, const std::string& fresh) {
  INFO(writing.name << ": " << name(plan.call) << " number " << plan.nth
                    << (plan.sticky ? " and later: " : ": ")
                    << (plan.shorten ? "short" : std::strerror(plan.error)));
  const test::TempDir dir;
  writing.prepare(dir);
  std::string message;
  bool struck = false;
  {
    const Armed armed(plan);
    try {
      writing.write(dir);
    } catch (const Error& error) {
      message = error.message();
    }
    struck = armed.struck();
  }
  writing.check_folder(dir);
  const bool is_new =
      message.empty() || message.find("the new file is in place") != std::string::npos;
  CHECK(test::read_file(dir / kOut) == (is_new ? fresh : kOld));
  if (!message.empty()) {
    using Catch::Matchers::Contains;
    CHECK(struck);
    CHECK_THAT(message, Contains(std::strerror(plan.error)));
    const bool named =
        message.find(dir.path()) != std::string::npos ||
        (!writing.other_input.empty() && message.find(writing.other_input) != std::string::npos);
    INFO(message);
    CHECK(named);
  }
  return struck;
}

/// How many plans of this kind strike, tried from the first call to the one that is not made.
inline int check_each(const Writing& writing, Plan plan, const std::string& fresh) {
  int strikes = 0;
  for (plan.nth = 1; check_outcome(writing, plan, fresh); ++plan.nth) {
    ++strikes;
    REQUIRE(plan.nth < 1000);
  }
  return strikes;
}

/// Each of these calls fails in turn, once and from then on, for each cause.
inline void check_failures(const Writing& writing, std::initializer_list<Call> calls,
                           std::initializer_list<int> errors = {EIO, ENOSPC}) {
  const std::string fresh = writing.undisturbed();
  for (const Call call : calls) {
    for (const int error : errors) {
      for (const bool sticky : {false, true}) {
        INFO(writing.name << ": " << name(call));
        CHECK(check_each(writing, {call, 1, sticky, error, false}, fresh) > 0);
      }
    }
  }
}

/// Calls that a signal interrupts and writes that take a part of their bytes, each in turn and, the
/// writes, from then on: nobody notices.
inline void check_interruptions(const Writing& writing) {
  const std::string fresh = writing.undisturbed();
  const auto unnoticed = [&](const Plan& plan) {
    INFO(writing.name << ": " << name(plan.call) << " number " << plan.nth
                      << (plan.shorten ? ": short" : ": interrupted"));
    const test::TempDir dir;
    writing.prepare(dir);
    const Armed armed(plan);
    CHECK_NOTHROW(writing.write(dir));
    writing.check_folder(dir);
    CHECK(test::read_file(dir / kOut) == fresh);
    return armed.struck();
  };
  for (const Call call : {Call::open, Call::openat, Call::write, Call::fsync, Call::ftruncate,
                          Call::fallocate, Call::flock, Call::close}) {
    for (int nth = 1; unnoticed({call, nth, false, EINTR, false}); ++nth) REQUIRE(nth < 1000);
  }
  for (int nth = 1; unnoticed({Call::write, nth, false, 0, true}); ++nth) REQUIRE(nth < 1000);
  CHECK(unnoticed({Call::write, 1, true, 0, true}));
}

}  // namespace nibble::faults
