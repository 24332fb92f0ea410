#include "runtime/model/model.h"

#include "formats/io/error.h"

namespace nibble {

Model load_model(const TensorFile& file) {
  const std::optional<std::string_view> name = file.meta().get_string("general.architecture");
  if (!name) {
    fail(ErrorCode::bad_file, "{}: key general.architecture: expected a value, got none",
         file.path());
  }
  const Arch* arch = find_arch(*name);
  if (arch == nullptr) {
    std::string known;
    for (const Arch* a : all_archs()) {
      if (!known.empty()) known += ", ";
      known += a->name;
    }
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: architecture: expected one of {}, got {}", file.path(), known, *name),
        "choose a model of an architecture that nibble runs");
  }
  Model model;
  model.config = arch->read_config(HParams(file.meta(), *name));
  model.config.arch = *name;
  model.weights = bind_weights(file, *arch, model.config);
  model.map = file.map();
  return model;
}

}  // namespace nibble
