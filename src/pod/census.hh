#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/paths.hh"
#include "registry/holdings.hh"
#include "registry/liveness.hh"
#include "registry/registry.hh"

/// Who lives and what each holds, found out without the registry: from the locks of the Pods and the files beside them
/// (doc/registry.md, Damage).
namespace insomnia::pod {

/// The files in which a Pod notes what it holds.
std::vector<std::string> holdings_files(Paths const& paths, std::string_view name);

/// What all living Pods hold, parents before children. A lock that is held while nobody can tell by whom, or a file that cannot be read, is
/// waited for; after `patience_ms` that is Unavailable and names the Pod: nothing may be granted while it is not known what is held.
Result<std::vector<registry::Holding>> living_pods(Paths const& paths, int64_t patience_ms = 5'000);

/// The name of a Pod that lives with this data directory, in whatever runtime directory; "" when none does.
Result<std::string> any_living_pod(Paths const& paths);

/// Who holds one of the Pod's two locks as this instance (any instance, when it is empty); nothing when nobody does.
Result<std::optional<registry::LockHolder>> pod_holder(Paths const& paths, std::string_view name, std::string_view instance_id = "");

/// Asks the Pods of these rows to restore what has vanished of the runtime directory (SIGUSR1). Only processes are signalled that hold the
/// lock of their row and take the signal. Returns how many were reached.
size_t wake_pods(Paths const& paths, std::vector<registry::Allocation> const& rows);

/// The registry as every process opens it: a lost one is made anew of what the living Pods hold, and these are woken. A Pod gives its own
/// holdings, which then follow what it is granted and releases; `after_change`, if given, is called after each of its own changes, on the thread that uses the
/// registry.
Result<std::unique_ptr<registry::Registry>> open_registry(Paths const& paths, registry::Holdings* own = nullptr,
                                                          std::function<void()> after_change = nullptr);

}  // namespace insomnia::pod
