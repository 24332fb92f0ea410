// Every architecture of the table on a toy model: every kernel table against the reference, and
// every hyperparameter replaced by nonsense.
#include "runtime/model/model.h"

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include "formats/io/error.h"
#include "runtime/engine/session.h"
#include "runtime/model/forward.h"
#include "tests/support/catch.h"
#include "tests/support/toy_model.h"

using namespace nibble;
using nibble::test::GgufBuilder;
using nibble::test::toy_model;

namespace {

std::span<const std::byte> bytes_of(const std::string& s) {
  return std::as_bytes(std::span(s.data(), s.size()));
}

/// The architectures that toy_model() can build; families_test.cpp has all of them.
std::vector<const Arch*> toy_archs() {
  return {find_arch("llama"), find_arch("gemma3")};
}

std::vector<int32_t> toy_prompt(size_t n) {
  std::vector<int32_t> ids = {1};
  while (ids.size() < n) ids.push_back(static_cast<int32_t>((ids.size() * 37) % 266));
  return ids;
}

/// Logits of all positions of a prompt in batches of n_batch rows.
std::vector<float> toy_logits(const Model& model, const KernelTable& kernels,
                              const std::vector<int32_t>& ids, size_t n_batch, int n_threads,
                              KvType type) {
  SequenceState state(std::make_shared<const KvLayout>(KvLayout::of(model.config, type)));
  Team team(n_threads);
  Workspace ws;
  std::vector<float> all;
  for (size_t at = 0; at < ids.size(); at += n_batch) {
    const size_t n = std::min(n_batch, ids.size() - at);
    state.reserve(static_cast<int64_t>(n));
    std::vector<Row> rows;
    for (size_t i = 0; i < n; ++i) {
      rows.push_back({ids[at + i], static_cast<int64_t>(at + i), &state, RowOutput::logits});
    }
    ws.reserve(model, kernels, n_threads, static_cast<int64_t>(n), static_cast<int64_t>(n), 0);
    ws.reserve_splits(model, static_cast<int64_t>(n), static_cast<int64_t>(at + n));
    REQUIRE(forward(model, kernels, team, ws, rows, nullptr) == ForwardStatus::ok);
    state.commit(static_cast<int64_t>(n));
    all.insert(all.end(), ws.logits.data(),
               ws.logits.data() + static_cast<int64_t>(n) * model.config.n_vocab);
  }
  return all;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return worst;
}

}  // namespace

TEST_CASE("every architecture runs on every kernel table as on the reference") {
  int count = 0;
  const KernelTable* const* tables = all_kernels(&count);
  const KernelTable& reference = *kernels_named("reference");
  for (const Arch* arch : toy_archs()) {
    INFO(arch->name);
    const std::string bytes = toy_model(std::string(arch->name));
    const TensorFile file = open_tensor_memory(bytes_of(bytes), "toy.gguf");
    const Model model = load_model(file);
    const std::vector<int32_t> ids = toy_prompt(150);
    const std::vector<float> want = toy_logits(model, reference, ids, 150, 1, KvType::f32);
    for (int i = 0; i < count; ++i) {
      if (!tables[i]->supported()) continue;
      for (const KvType type : {KvType::f32, KvType::f16, KvType::q8, KvType::q4}) {
        INFO(tables[i]->name << ", keys and values of type " << static_cast<int>(type));
        const std::vector<float> got = toy_logits(model, *tables[i], ids, 150, 1, type);
        // F32 weights; keys and values are F16 (within 2^-12) and logits O(1); q8 is within 1/254
        // of the largest of a head, 16 times as much. q4 is too coarse for these tiny heads.
        const double bound = type == KvType::q8 ? 16 * 0.02 : 0.02;
        if (type != KvType::q4) CHECK(largest_difference(want, got) < bound);
        CHECK(got == toy_logits(model, *tables[i], ids, 7, 3, type));
        CHECK(got == toy_logits(model, *tables[i], ids, 1, 2, type));
      }
    }
  }
}

TEST_CASE("more heads on one key/value head than a call attends for") {
  // 100 heads: three slices; 270 positions: more than one split of a lone row's attention.
  test::ToyShape shape;
  shape.n_head = 100;
  shape.n_layer = 1;
  const std::string bytes = toy_model("llama", shape);
  const TensorFile file = open_tensor_memory(bytes_of(bytes), "toy.gguf");
  const Model model = load_model(file);
  const std::vector<int32_t> ids = toy_prompt(270);
  int count = 0;
  const KernelTable* const* tables = all_kernels(&count);
  for (int i = 0; i < count; ++i) {
    if (!tables[i]->supported() || !tables[i]->takes_packed) continue;
    INFO(tables[i]->name);
    const KvType type = tables[i]->default_kv;
    const std::vector<float> got = toy_logits(model, *tables[i], ids, 270, 1, type);
    CHECK(got == toy_logits(model, *tables[i], ids, 7, 3, type));
    CHECK(got == toy_logits(model, *tables[i], ids, 1, 2, type));
  }
  const std::vector<int32_t> few(ids.begin(), ids.begin() + 20);
  const KernelTable& reference = *kernels_named("reference");
  const std::vector<float> want = toy_logits(model, reference, few, 20, 1, KvType::f32);
  const std::vector<float> got = toy_logits(model, *best_kernels(), few, 20, 1, KvType::f16);
  CHECK(largest_difference(want, got) < 0.02);
}

TEST_CASE("a hyperparameter that is absent, of another type or out of range is an error or runs") {
  const std::vector<std::string> keys = {"block_count",
                                         "context_length",
                                         "embedding_length",
                                         "feed_forward_length",
                                         "attention.head_count",
                                         "attention.head_count_kv",
                                         "attention.key_length",
                                         "attention.value_length",
                                         "rope.dimension_count",
                                         "attention.sliding_window",
                                         "attention.layer_norm_rms_epsilon",
                                         "rope.freq_base"};
  int errors = 0;
  int runs = 0;
  for (const Arch* arch : toy_archs()) {
    for (const std::string& key : keys) {
      for (int kind = 0; kind < 14; ++kind) {
        const std::string bytes =
            toy_model(std::string(arch->name), {},
                      [&](GgufBuilder& b, std::string_view k, const std::string& full) {
                        if (k != key) return false;
                        switch (kind) {
                          case 0:
                            break;  // absent
                          case 1:
                            b.add_u32(full, 0);
                            break;
                          case 2:
                            b.add_u32(full, 1);
                            break;
                          case 3:
                            b.add_u32(full, 3);
                            break;
                          case 4:
                            b.add_u32(full, 0xffffffffu);
                            break;
                          case 5:
                            b.add_i32(full, -1);
                            break;
                          case 6:
                            b.add_u64(full, ~uint64_t{0});
                            break;
                          case 7:
                            b.add_f32(full, std::numeric_limits<float>::quiet_NaN());
                            break;
                          case 8:
                            b.add_f32(full, std::numeric_limits<float>::infinity());
                            break;
                          case 9:
                            b.add_string(full, "2");
                            break;
                          case 10:
                            b.add_bool(full, true);
                            break;
                          case 11:
                            b.add_i32s(full, {});
                            break;
                          case 12:
                            b.add_i32s(full, {1, -5, 7});
                            break;
                          case 13:
                            b.add_f32(full, 0.5f);
                            break;
                        }
                        return true;
                      });
        INFO(arch->name << "." << key << " kind " << kind);
        try {
          const TensorFile file = open_tensor_memory(bytes_of(bytes), "toy.gguf");
          const Model model = load_model(file);
          const std::vector<float> logits =
              toy_logits(model, *best_kernels(), toy_prompt(70), 70, 1, KvType::f16);
          CHECK(logits.size() == static_cast<size_t>(70 * model.config.n_vocab));
          ++runs;
        } catch (const Error& e) {
          CHECK((e.code() == ErrorCode::bad_file || e.code() == ErrorCode::unsupported));
          CHECK(e.message().find("toy.gguf") == 0);
          ++errors;
        }
      }
    }
  }
  CHECK(errors > 150);
  CHECK(runs > 20);
}

TEST_CASE("missing, misshapen and unknown tensors are named") {
  const auto message_of = [](const GgufBuilder& b) {
    const std::string bytes = b.build();
    try {
      const TensorFile file = open_tensor_memory(bytes_of(bytes), "m.gguf");
      load_model(file);
    } catch (const Error& e) {
      return e.message();
    }
    return std::string("no error");
  };
  GgufBuilder empty;
  CHECK(message_of(empty) == "m.gguf: key general.architecture: expected a value, got none");
  GgufBuilder foreign;
  foreign.add_string("general.architecture", "mamba");
  CHECK(message_of(foreign).starts_with("m.gguf: architecture: expected one of llama, gpt2, "));
  CHECK(message_of(foreign).ends_with(", got mamba"));

  GgufBuilder b;
  b.add_string("general.architecture", "llama");
  b.add_u32("llama.block_count", 1);
  b.add_u32("llama.context_length", 64);
  b.add_u32("llama.embedding_length", 32);
  b.add_u32("llama.feed_forward_length", 32);
  b.add_u32("llama.attention.head_count", 2);
  b.add_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  CHECK(message_of(b) == "m.gguf: tensor token_embd.weight: expected one, got none");
  const std::vector<float> zeros(32 * 10, 0.0f);
  b.add_tensor("token_embd.weight", {10, 32}, zeros);
  b.add_tensor("output_norm.weight", {16}, std::vector<float>(16));
  CHECK(message_of(b) == "m.gguf: tensor output_norm.weight: expected [32], got F32 [16]");

  GgufBuilder heads;
  heads.add_string("general.architecture", "llama");
  heads.add_u32("llama.block_count", 1);
  heads.add_u32("llama.context_length", 64);
  heads.add_u32("llama.embedding_length", 32);
  heads.add_u32("llama.feed_forward_length", 32);
  heads.add_u32("llama.attention.head_count", 3);
  heads.add_u32("llama.attention.head_count_kv", 2);
  heads.add_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  CHECK(message_of(heads) ==
        "m.gguf: layer 0: expected heads in groups of 2 key/value heads, got 3");
}

namespace {

std::string load_error(const std::string& bytes) {
  try {
    const TensorFile file = open_tensor_memory(bytes_of(bytes), "m.gguf");
    load_model(file);
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::unsupported);
    return e.message();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a tensor that nothing would use is refused") {
  for (const Arch* arch : toy_archs()) {
    const std::string name(arch->name);
    for (const char* extra : {"blk.0.attn_sinks.weight", "blk.99.attn_q.weight", "rope.weight"}) {
      const auto with_extra = [&](GgufBuilder& b, std::string_view key, const std::string&) {
        if (key == "rope.freq_base") b.add_tensor(extra, {8}, std::vector<float>(8));
        return false;
      };
      CHECK(load_error(toy_model(name, {}, with_extra)) == "m.gguf: tensor " + std::string(extra) +
                                                               ": expected one that " + name +
                                                               " models have, got another");
    }
  }
}

TEST_CASE("a rope scaling that nibble does not know is refused, linear is computed") {
  const auto scaled = [](const std::string& type, float factor) {
    return [=](GgufBuilder& b, std::string_view key, const std::string& full) {
      if (key != "rope.freq_base") return false;
      const std::string scaling = full.substr(0, full.size() - key.size()) + "rope.scaling.";
      b.add_string(scaling + "type", type);
      b.add_f32(scaling + "factor", factor);
      return false;
    };
  };
  for (const Arch* arch : toy_archs()) {
    const std::string name(arch->name);
    for (const std::string type : {"dynamic", "", "Linear"}) {
      CHECK(load_error(toy_model(name, {}, scaled(type, 2))) ==
            "m.gguf: key " + name +
                ".rope.scaling.type: expected none, linear, yarn or longrope, got " + type);
    }
    const auto logits_of = [](const std::string& bytes) {
      const TensorFile file = open_tensor_memory(bytes_of(bytes), "m.gguf");
      return toy_logits(load_model(file), *best_kernels(), toy_prompt(20), 20, 1, KvType::f16);
    };
    const std::vector<float> plain = logits_of(toy_model(name));
    CHECK(logits_of(toy_model(name, {}, scaled("linear", 1))) == plain);
    CHECK(logits_of(toy_model(name, {}, scaled("linear", 4))) != plain);
  }
}

TEST_CASE("a cancel that is taken back half-way never passes for a finished forward") {
  const std::string bytes = toy_model("llama");
  const TensorFile file = open_tensor_memory(bytes_of(bytes), "toy.gguf");
  const Model model = load_model(file);
  const KernelTable& kernels = *best_kernels();
  const std::vector<int32_t> ids = toy_prompt(64);
  const std::vector<float> want = toy_logits(model, kernels, ids, 64, 2, kernels.default_kv);
  CancelToken cancel;
  std::atomic<bool> done{false};
  std::thread waverer([&] {
    while (!done) {
      cancel.request();
      cancel.reset();
    }
    cancel.request();
  });
  Team team(2);
  Workspace ws;
  ws.reserve(model, kernels, 2, 64, 64, 0);
  const auto layout =
      std::make_shared<const KvLayout>(KvLayout::of(model.config, kernels.default_kv));
  for (int i = 0; i < 300; ++i) {
    SequenceState state(layout);
    state.reserve(64);
    std::vector<Row> rows;
    for (size_t t = 0; t < ids.size(); ++t) {
      rows.push_back({ids[t], static_cast<int64_t>(t), &state, RowOutput::logits});
    }
    if (forward(model, kernels, team, ws, rows, &cancel) == ForwardStatus::cancelled) continue;
    REQUIRE(std::equal(want.begin(), want.end(), ws.logits.data()));
  }
  done = true;
  waverer.join();
}

TEST_CASE("pages are shared by forks until one writes") {
  ModelConfig config;
  LayerSpec layer;
  layer.n_head = 2;
  layer.n_head_kv = 1;
  layer.head_dim_k = 8;
  layer.head_dim_v = 8;
  config.layers = {layer};
  SequenceState a(std::make_shared<const KvLayout>(KvLayout::of(config, KvType::f32)));
  a.reserve(kKvPageLen + 3);
  a.commit(kKvPageLen + 3);
  a.page_of(0)[0] = std::byte{1};
  a.page_of(kKvPageLen)[0] = std::byte{2};
  SequenceState b = a.fork();
  CHECK(b.page_of(0) == a.page_of(0));
  b.reserve(1);
  CHECK(b.page_of(0) == a.page_of(0));                    // full page: still shared
  CHECK(b.page_of(kKvPageLen) != a.page_of(kKvPageLen));  // partly filled: copied
  CHECK(b.page_of(kKvPageLen)[0] == std::byte{2});
  b.commit(1);
  CHECK(a.length() == kKvPageLen + 3);
  CHECK(b.length() == kKvPageLen + 4);
  b.truncate(5);
  CHECK(b.allocated_bytes() == a.layout().page_bytes);
  b.reserve(1);
  CHECK(b.page_of(0) != a.page_of(0));
}
