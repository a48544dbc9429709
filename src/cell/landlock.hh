#pragma once

#include <string>
#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"

namespace insomnia::cell {

/// The first ABI that holds back every way to change what a file contains: before, files could be cut.
inline constexpr int kLandlockFiles = 3;
/// The first ABI that keeps signals and abstract sockets inside of a domain.
inline constexpr int kLandlockScopes = 6;

/// The kernel's Landlock ABI; 0 when it has none.
int landlock_version();

/// What a domain allows. Whatever the kernel's ABI does not know is not enforced.
struct DomainRequest {
  bool keep_signals = false;           ///< to processes outside of the domain none can be sent (ABI 6)
  bool keep_abstract_sockets = false;  ///< those of processes outside can't be connected to (ABI 6)
  /// Whether files are handled at all: then only these paths, with all below them, can be listed; be read and executed; be written, made, renamed and
  /// removed; or, devices, be written and controlled.
  bool files = false;
  std::vector<std::string> listable, readable, writable, usable;
};

/// A ruleset that enter_domain() takes. Paths that are missing, or that have a symbolic link on their way, are left out.
Result<UniqueFd> make_domain(DomainRequest const& request);

/// For this thread and all that it starts, for good. REQUIRES: no_new_privs is set.
Result<void> enter_domain(int ruleset);

}  // namespace insomnia::cell
