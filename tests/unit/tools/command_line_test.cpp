// The parser with options as the commands declare them.
#include "tools/command_line.h"

#include "tests/support/catch.h"
#include "tools/exit_code.h"
#include "tools/options.h"

using namespace nibble;

namespace {

const Command kTestCommand = {"test", "A test.", "MODEL [TEXT]", "nibble test x\n", true, nullptr};

struct Parsed {
  ModelOptions model;
  ContextOptions context;
  SamplingOptions sampling;
  GenerationOptions generation;
  ChatOptionsGroup chat;
  std::vector<std::string> positionals;
  bool run = false;
};

Parsed parse(const std::vector<std::string>& args) {
  Parsed out;
  CommandLine line(kTestCommand);
  add_model_options(line, &out.model);
  add_context_options(line, &out.context);
  add_sampling_options(line, &out.sampling);
  add_generation_options(line, &out.generation);
  add_chat_options(line, &out.chat);
  line.positionals(&out.positionals, 2);
  out.run = line.parse(args);
  return out;
}

/// {message, hint} of a usage error.
std::pair<std::string, std::string> refused(const std::vector<std::string>& args) {
  try {
    parse(args);
  } catch (const CommandError& e) {
    CHECK(e.code() == ExitCode::usage);
    return {e.message(), e.hint()};
  }
  return {};
}

}  // namespace

TEST_CASE("options in the spellings that users know") {
  const Parsed p =
      parse({"-m",  "a.gguf", "-c", "32k",       "-t4", "-ub", "64",   "-b=128",    "-ctk",
             "f32", "--temp", "0",  "--top-k=5", "-s",  "-1",  "-sys", "Be brief.", "-n",
             "7",   "--stop", "a",  "--stop",    "b",   "-v",  "hello"});
  CHECK(p.model.model == "a.gguf");
  CHECK(p.context.n_ctx == 32768);
  CHECK(p.context.n_threads == 4);
  CHECK(p.context.n_ubatch == 64);
  CHECK(p.context.n_batch == 128);
  CHECK(p.context.type_k == KvType::f32);
  CHECK(p.sampling.temperature == 0.0f);
  CHECK(p.sampling.top_k == 5);
  CHECK(p.sampling.seed == -1);
  CHECK(p.chat.system == "Be brief.");
  CHECK(p.generation.n_predict == 7);
  CHECK(p.generation.stop == std::vector<std::string>{"a", "b"});
  CHECK(p.generation.verbose);
  CHECK(p.positionals == std::vector<std::string>{"hello"});
}

TEST_CASE("values may look like options; after -- nothing is one") {
  CHECK(parse({"-m", "-sys"}).model.model.size() > 0);
  CHECK(parse({"--system-prompt", "--help"}).chat.system == "--help");
  CHECK(parse({"--", "-m", "--help"}).positionals == std::vector<std::string>{"-m", "--help"});
  CHECK(parse({"-"}).positionals == std::vector<std::string>{"-"});
}

TEST_CASE("the last of repeated options counts") {
  CHECK(parse({"--temp", "1", "--temp", "2"}).sampling.temperature == 2.0f);
}

TEST_CASE("unknown options get the nearest") {
  CHECK(refused({"--tempp", "1"}) ==
        std::pair<std::string, std::string>("nibble test: unknown option --tempp",
                                            "did you mean --temp?"));
  CHECK(refused({"--ctx-sise=5"}).second == "did you mean --ctx-size?");
  CHECK(refused({"--qqqqqq"}).second == "`nibble test --help` lists the options");
  CHECK(refused({"-z"}).first == "nibble test: unknown option -z");
}

TEST_CASE("wrong values are refused by name") {
  CHECK(refused({"-c"}).first == "nibble test: -c,--ctx-size needs a value");
  CHECK(refused({"-c", "many"}).first ==
        "--ctx-size: expected a whole number from 0 to 1073741824, got 'many'");
  CHECK(refused({"--temp", "-1"}).first ==
        "--temperature: expected a number from 0 to 100, got '-1'");
  CHECK(refused({"--isa", "mmx"}).first == "--isa: no kernels named 'mmx'");
  CHECK(refused({"--samplers", "top_k,tmp"}).first.find("'tmp'") != std::string::npos);
  CHECK(refused({"--overflow", "maybe"}).first ==
        "--overflow: expected drop or error, got 'maybe'");
  CHECK(refused({"-ctk", "f16", "-ctv", "q5_1"}).first ==
        "--cache-type-v: expected f16, f32, q8 or q4, got 'q5_1'");
  CHECK(refused({"a", "b", "c"}).first == "nibble test: unexpected argument 'c'");
}

TEST_CASE("flags stand above the file's values, those above the built-in ones") {
  SamplerOptions file;
  file.temperature = 0.3f;
  file.top_k = 7;
  const SamplerOptions out = sampler_options(parse({"--temp", "0.9", "-s", "5"}).sampling, file);
  CHECK(out.temperature == 0.9f);
  CHECK(out.top_k == 7);
  CHECK(out.top_p == SamplerOptions().top_p);
  CHECK(out.seed == 5);
  CHECK_FALSE(out.random_seed);
  CHECK(sampler_options(parse({"-s", "-1"}).sampling, file).random_seed);
}

TEST_CASE("keys and values share a type") {
  CHECK_FALSE(session_options(parse({}).context).kv_type.has_value());
  CHECK(session_options(parse({"-ctv", "f32"}).context).kv_type == KvType::f32);
  CHECK_THROWS_AS(session_options(parse({"-ctk", "f16", "-ctv", "f32"}).context), CommandError);
}

TEST_CASE("help shows usage, examples and the options in groups") {
  CommandLine line(kTestCommand);
  ModelOptions model;
  SamplingOptions sampling;
  add_model_options(line, &model);
  add_sampling_options(line, &sampling);
  const std::string help = line.help();
  CHECK(help.find("Usage: nibble test MODEL [TEXT]") != std::string::npos);
  CHECK(help.find("Examples:\n  nibble test x\n") != std::string::npos);
  const size_t at_model = help.find("\nModel:\n"), at_sampling = help.find("\nSampling:\n");
  CHECK(at_model != std::string::npos);
  CHECK(at_model < at_sampling);
  CHECK(help.find("-m, --model MODEL") != std::string::npos);
  size_t begin = 0;
  while (begin < help.size()) {
    const size_t end = help.find('\n', begin);
    CHECK(end - begin <= 100);
    begin = end + 1;
  }
}
