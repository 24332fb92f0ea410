// What a model and a context need, against what is left.
#include "runtime/engine/memory_plan.h"

#include "runtime/engine/engine.h"
#include "runtime/model/workspace.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/toy_model.h"

using namespace nibble;

namespace {

MemoryPlan plan_of(int64_t weights, int64_t held, int64_t available) {
  MemoryPlan plan;
  plan.weights = weights;
  plan.held = held;
  plan.kv_per_token = 10;
  plan.scratch = 1000;
  plan.available = available;
  return plan;
}

}  // namespace

TEST_CASE("weights that are held already are not asked for again", "[memory]") {
  // 4.9 GB of 6.5 are packed: 1.6 are left for keys, values and scratch.
  MemoryPlan plan = plan_of(4900, 4900, 1600);
  plan.kv = 500;
  CHECK(plan.fits());
  CHECK(plan.total() == 6400);
  plan.kv = 601;
  CHECK_FALSE(plan.fits());
  plan.held = 0;
  plan.kv = 500;
  CHECK_FALSE(plan.fits());
}

TEST_CASE("the context takes what nine tenths of the memory leave", "[memory]") {
  CHECK(context_that_fits(plan_of(20000, 0, 50000), 100000) == (45000 - 20000 - 1000) / 10);
  CHECK(context_that_fits(plan_of(20000, 20000, 30000), 100000) == (27000 - 1000) / 10);
  CHECK(context_that_fits(plan_of(20000, 0, 50000), 700) == 700);
  CHECK(context_that_fits(plan_of(50000, 0, 50000), 100000) == 512);
  CHECK(context_that_fits(plan_of(50000, 0, -1), 100000) == 100000);
}

TEST_CASE("unknown memory holds anything", "[memory]") {
  CHECK(plan_of(1 << 30, 0, -1).fits());
}

TEST_CASE("the plan counts the parts that attention over a long context is divided into",
          "[memory]") {
  const test::TempDir dir;
  test::write_file(dir / "toy.gguf", test::toy_model("llama"));
  const auto engine = Engine::open(dir / "toy.gguf");
  const auto scratch = [&](int64_t n_ctx) {
    return engine->plan(n_ctx, 64, KvType::f16, 1).scratch;
  };
  for (const int64_t n_ctx : {300, 1000, 100000}) {
    Workspace work;
    work.reserve_splits(engine->model(), 1, n_ctx);
    CHECK(work.partials.bytes() > 0);
    CHECK(scratch(n_ctx) - scratch(64) == work.partials.bytes());
  }
  // All that a session reserves for one token at the end of the context.
  Workspace work;
  work.reserve(engine->model(), engine->kernels(), 1, 64, kMostLogitsRows, 0);
  work.reserve_splits(engine->model(), 1, 1000);
  int64_t held = work.act_q8.bytes() + work.act_f32.bytes();
  for (const Buffer<float>* part :
       {&work.x, &work.branch, &work.q, &work.k, &work.v, &work.attn, &work.gate, &work.up,
        &work.logits, &work.hidden, &work.row, &work.attend, &work.partials, &work.bounds}) {
    held += part->bytes();
  }
  for (const Buffer<float>& part : work.cos_sin) held += part.bytes();
  CHECK(scratch(1000) >= held);
}
