#pragma once

#include <cstdint>
#include <memory>

#include "llm/catalogue.hh"
#include "llm/provider.hh"

namespace insomnia::llm {

/// How long the script's process may be silent during a call.
inline constexpr int64_t kRehearsalSilenceMs = 30'000;

/// The model that a Lua script plays. `model.model_id` is the name of a script that comes with the program
/// (resources/rehearsal/<name>.lua) or, with a '/' or the ending ".lua", the path of a file, read anew with
/// each process. The script runs in `<self_program> lua rehearsal`: started at the first call, kept between
/// calls, killed when a call is cancelled or silent for too long, started again when it died. Calls may
/// overlap. Format: doc/rehearsal.md.
std::unique_ptr<Provider> make_rehearsal_provider(ModelConfig const& model, ProviderContext const& context,
                                                  int64_t silence_ms);
std::unique_ptr<Provider> make_rehearsal_provider(ModelConfig const& model, ProviderContext const& context);

}  // namespace insomnia::llm
