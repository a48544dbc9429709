#pragma once

#include <string>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia attach`.
struct AttachOptions {
  std::string name;
  friend bool operator==(AttachOptions const&, AttachOptions const&) = default;
};

/// Shows the session of a live Pod and what it does, and sends it what is typed. Leaving it changes nothing
/// for the Pod.
int attach_pod(AttachOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
