// nibble inspect: what a model file holds and whether it runs here.
#include "runtime/engine/inspection.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/inspection.h"
#include "tools/open_model.h"
#include "tools/output.h"
#include "tools/paths.h"

namespace nibble {
namespace {

int run(const Command& self, std::span<const std::string> args) {
  ModelOptions model;
  ContextOptions context;
  bool json = false, full = false;
  std::vector<std::string> positionals;
  CommandLine line(self);
  add_model_options(line, &model);
  add_context_options(line, &context);
  line.add({"--json", "", "print JSON", OptionGroup::output,
            [&](std::string_view, std::string_view) { json = true; }});
  line.add({"--full", "", "with --json: every item of long arrays", OptionGroup::output,
            [&](std::string_view, std::string_view) { full = true; }});
  line.positionals(&positionals, 1);
  if (!line.parse(args)) return 0;
  const std::string path =
      find_model(take_model_name(model, &positionals, "inspect"), model_folder());

  TensorFile file;
  try {
    file = open_in_parallel(path);
  } catch (const Error& e) {
    rethrow_open_error(e);
  }
  const SessionOptions session = session_options(context);
  InspectOptions how;
  how.isa = model.isa;
  how.n_ctx = session.n_ctx;
  how.n_batch = session.n_batch;
  how.kv_type = session.kv_type;
  if (full) how.most_items = SIZE_MAX;
  const nlohmann::ordered_json inspection = inspect_file(file, how);
  Output out;
  if (json) {
    out.write(inspection.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    out.write("\n");
  } else {
    out.write(inspection_text(inspection));
  }
  out.flush();
  return 0;
}

}  // namespace

const Command cmd_inspect = {
    "inspect",
    "Show what a model file holds, what memory it needs and whether it runs here.",
    "MODEL [--json]",
    "nibble inspect model.gguf\n"
    "nibble inspect model.gguf -c 32k\n"
    "nibble inspect model.gguf --json | jq .memory_plan\n",
    true,
    run,
};

}  // namespace nibble
