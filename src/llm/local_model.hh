#pragma once

#include <optional>
#include <string>

#include "base/environment.hh"

namespace insomnia::llm {

/// The model that was used last of those that an Ollama on this machine (or at OLLAMA_HOST) has and that can call tools, if one answers at once. Blocks for
/// half a second at most; a machine without one says so immediately.
std::optional<std::string> local_model(Environment const& environment);

/// The same from the server's answer to GET /api/tags. Pure.
std::optional<std::string> choose_local_model(std::string const& tags_json);

}  // namespace insomnia::llm
