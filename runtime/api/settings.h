#pragma once
// The options of models and sessions: names and ranges in one place.
#include <vector>

#include "runtime/api/objects.h"
#include "runtime/api/option_table.h"
#include "runtime/threads/team.h"

namespace nibble::api {

/// Those that nibble_session_set takes. to must outlive the table.
std::vector<OptionSetter> generation_options(SessionSettings& to, int32_t n_vocab);
/// Those and the ones that only a new session can be told.
std::vector<OptionSetter> session_options(SessionSettings& to, int32_t n_vocab);
/// Of a session of this model: the file's own settings, then the options. Errors: bad_argument.
SessionSettings read_settings(const OpenModel& model, const nibble_option* options);

}  // namespace nibble::api
