#pragma once

#include <string>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia scope`.
struct ScopeOptions {
  std::string path;  ///< relative or absolute; need not exist
  bool json = false;
  friend bool operator==(ScopeOptions const&, ScopeOptions const&) = default;
};

/// Shows who may write at a path, by which delegation, and who may read it. Exit code 0 whenever that is
/// shown.
int show_scope(ScopeOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
