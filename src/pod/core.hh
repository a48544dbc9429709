#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/log.hh"
#include "base/paths.hh"
#include "loop/event_loop.hh"
#include "loop/worker.hh"
#include "manifest/manifest.hh"
#include "pod/authority.hh"
#include "pod/launch.hh"
#include "pod/store.hh"
#include "registry/registry.hh"

namespace insomnia::pod {

/// The threads of a Pod beside its loop. Made first of all: starting a thread waits for libraries that are being loaded.
struct PodWorkers {
  explicit PodWorkers(loop::EventLoop& loop) : log(loop, "log"), registry(loop, "registry"), usage(loop, "usage"), profiles(loop, "profiles") {
    log.start();
    registry.start();
    usage.start();
  }
  loop::Worker log;
  loop::Worker registry;
  loop::Worker usage;     ///< records model calls
  loop::Worker profiles;  ///< evaluates Lua; starts when that is needed
};

/// Who this Pod is and what it durably owns; made once at start, shared by the parts of its brain. All on the loop's thread, but for
/// `registry` (registry_worker only) and the files that log_worker writes.
struct PodCore {
  PodCore(loop::EventLoop& event_loop, Paths pod_paths, RuntimeCommand command, manifest::Manifest resolved, PodState pod_state,
          std::string instance, scope::Scope own_scope, std::unique_ptr<registry::Registry> table, std::unique_ptr<PodWorkers> threads)
      : loop(event_loop),
        paths(std::move(pod_paths)),
        runtime(std::move(command)),
        manifest(std::move(resolved)),
        state(std::move(pod_state)),
        instance_id(std::move(instance)),
        authority(std::move(own_scope)),
        registry(std::move(table)),
        workers(std::move(threads)),
        log_worker(workers->log),
        registry_worker(workers->registry) {}

  std::string const& name() const { return state.pod_name; }
  std::string socket_path() const { return paths.pod_socket(state.pod_name); }

  /// Writes the state as it is now; `done` comes in the order of the calls.
  void persist(std::function<void(Result<void>)> done = nullptr) {
    log_worker.run<Result<void>>([paths = paths, state = state] { return write_pod_state(paths, state); },
                                 [done = std::move(done), name = state.pod_name](Result<void> result) {
                                   if (!result) log::warn("the state of Pod " + name + " can't be written: " + result.error().message);
                                   if (done) done(std::move(result));
                                 });
  }

  loop::EventLoop& loop;
  Paths const paths;
  RuntimeCommand const runtime;
  manifest::Manifest const manifest;
  PodState state;
  std::string const instance_id;
  ScopeAuthority authority;
  /// Who pays for this Pod's model calls: all above it, and last itself.
  std::vector<manifest::Account> accounts;
  std::unique_ptr<registry::Registry> const registry;
  std::unique_ptr<PodWorkers> const workers;
  loop::Worker& log_worker;
  loop::Worker& registry_worker;
};

}  // namespace insomnia::pod
