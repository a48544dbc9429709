#pragma once

#include <string>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia logs`.
struct LogsOptions {
  std::string name;
  bool follow = false;
  bool json = false;  ///< the records as they are stored
  friend bool operator==(LogsOptions const&, LogsOptions const&) = default;
};

/// Shows the stored session of a Pod; with `follow`, of a live one, what comes too.
int show_log(LogsOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
