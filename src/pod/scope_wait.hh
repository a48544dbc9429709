#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/paths.hh"
#include "loop/event_loop.hh"
#include "loop/worker.hh"
#include "registry/registry.hh"

namespace insomnia::pod {

/// What is asked of the registry, and how long it may take.
struct ScopeRequest {
  registry::Allocation row;  ///< Live: as for register_pod(); Reserved: as for delegate()
  std::optional<scope::ScopeConfig> delegation;
  registry::Limits limits;
  int64_t wait_ms = 0;
  std::string bell;  ///< where the FIFO of this request is made; its directory exists
};

/// One request for a scope that may be busy: it waits in the registry's queue, first come first served, until it is granted, refused, or the
/// time is up. Nothing is polled: it looks again when the process of the Pod in the way has ended (pidfd) or when its bell rings. Destroying
/// it gives up the place. On the loop's thread; the registry is used on the worker's.
class ScopeWait {
 public:
  struct Handler {
    /// It waits (now for another one).
    std::function<void(registry::Blocker const&)> waiting;
    /// Once. Conflict: still busy when the time was up, or a deadlock. May destroy this object.
    std::function<void(Result<void>)> done;
  };

  /// `registry` and `worker` outlive it. Nothing is called back before the constructor returns.
  ScopeWait(loop::EventLoop& loop, loop::Worker& worker, registry::Registry& registry, Paths const& paths, ScopeRequest request,
            Handler handler);
  ~ScopeWait();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace insomnia::pod
