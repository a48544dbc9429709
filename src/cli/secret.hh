#pragma once

#include <string>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia secret`.
struct SecretOptions {
  enum class Action { List, Set, Remove };
  Action action = Action::List;
  std::string name;  ///< a provider's id, or another name
  friend bool operator==(SecretOptions const&, SecretOptions const&) = default;
};

/// Keeps keys of providers. `set` reads the key from the terminal without showing it, or the first line of standard input; no key is ever printed.
int keep_secrets(SecretOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
