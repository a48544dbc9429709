#pragma once

#include <optional>
#include <string_view>

#include "base/environment.hh"
#include "base/error.hh"

namespace insomnia::cli {

/// Why this subcommand is not for a process that a Pod's command started (INSOMNIA_POD is set there): what starts Pods or talks to them
/// would go past the scope and the identity of that Pod. Nothing for the others, and outside of Pods.
std::optional<Error> refusal_inside_pod(std::string_view subcommand, Environment const& environment);

}  // namespace insomnia::cli
