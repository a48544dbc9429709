#pragma once

#include <string>
#include <vector>

#include "scope/scope.hh"
#include "wire/event.hh"

namespace insomnia::pod {

/// Entries of the prefix's directory (relative to `cwd` unless absolute) whose names start with its last component and which the scope
/// lets be read: directories first, then by name, at most 100. Values are relative as the prefix is.
std::vector<wire::CompletionEntry> complete_path(std::string const& prefix, std::string const& cwd, scope::Scope const& scope);

}  // namespace insomnia::pod
