#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/environment.hh"
#include "base/error.hh"

/// Keys that people store with `insomnia secret`: one file each, <config_dir>/secrets/<name>, readable by its owner alone. The name of a provider is the key for
/// it; others are for `auth = { kind = "secret_ref", ref = "<name>" }`.
namespace insomnia::llm {

/// Letters, digits, '-', '_' and '.', at most 64, not beginning with a '.'.
bool is_secret_name(std::string_view name);

/// Nothing when there is none. A file that others can read is an error that names the way out; the error never holds the secret.
Result<std::optional<std::string>> read_secret(Environment const& environment, std::string_view name);
/// Replaces what there was, durably. One line that is not blank. Errors: InvalidArgument.
Result<void> write_secret(Environment const& environment, std::string_view name, std::string_view secret);
/// Whether there was one.
Result<bool> remove_secret(Environment const& environment, std::string_view name);
/// Their names, sorted.
Result<std::vector<std::string>> list_secrets(Environment const& environment);

}  // namespace insomnia::llm
