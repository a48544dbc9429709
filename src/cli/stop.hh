#pragma once

#include <cstdint>
#include <string>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia stop`.
struct StopOptions {
  std::string name;
  bool tree = false;   ///< its descendants too
  bool force = false;  ///< do not wait long for it to end by itself
  uint32_t timeout_seconds = 10;
  friend bool operator==(StopOptions const&, StopOptions const&) = default;
};

/// Asks a Pod to end, waits until its process is gone, and ends it by signals when it does not.
int stop_pod(StopOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
