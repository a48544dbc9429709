#pragma once

#include "base/environment.hh"
#include "base/paths.hh"

namespace insomnia::cli {

/// Options of `insomnia trust`.
struct TrustOptions {
  bool show = false;    ///< only say how it stands
  bool revoke = false;
  bool yes = false;     ///< do not ask
  friend bool operator==(TrustOptions const&, TrustOptions const&) = default;
};

/// Shows what the profiles of the current project want that needs trust, asks, and remembers the answer with the files as they are. kRefused when the
/// answer is no, or nobody can be asked; with `show` when the project is not trusted as it is.
int trust_project(TrustOptions const& options, Environment const& environment);

/// Whether somebody sits at a terminal who can be asked.
bool can_ask();
/// Asks on the terminal; anything but y or yes is a no. REQUIRES: can_ask().
bool ask(std::string_view question);

}  // namespace insomnia::cli
