#pragma once

#include <string>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia send`.
struct SendOptions {
  std::string name;
  std::string message;  ///< "-": from stdin
  friend bool operator==(SendOptions const&, SendOptions const&) = default;
};

/// Gives a live Pod a message: a new run when it has nothing to do, else a notification that its model sees
/// at its next call.
int send_message(SendOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
