#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "base/io.hh"
#include "client/fake_pod_test.hh"
#include "loop/event_loop.hh"
#include "pod/core.hh"
#include "registry/liveness.hh"
#include "scope/test_directory.hh"

namespace insomnia::pod {

using client::run_until;
using scope::read_rule;
using scope::write_rule;

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }
#define EXPECT_HAS(text, part) EXPECT_PRED2(::insomnia::pod::contains, text, part)

/// This test executable, as the program that plays a Pod process. `role`: see fake_child_test.cc.
inline RuntimeCommand fake_child(std::string role) {
  return {.program = RuntimeCommand::self().program, .prefix_args = {"fake-child", std::move(role)}};
}

/// A fresh home for Pods, a work directory beside it, and a loop.
class PodTest : public testing::Test {
 protected:
  PodTest() {
    paths.config_dir = directory / "config";
    paths.data_dir = directory / "data";
    paths.runtime_dir = directory / "run";
    work = directory.directory("work");
    EXPECT_TRUE(io::make_directories(paths.runtime_dir));
  }

  /// Runs what was posted and the jobs of workers until `done`.
  void run_until(std::function<bool()> const& done) { client::run_until(loop, done); }

  scope::TestDirectory directory;
  Paths paths;
  std::string work;
  SystemClock clock;
  loop::EventLoop loop{clock};
};

/// A Pod `root` that is registered and alive, with write on the work directory: enough of one for its children.
class SpawnerTest : public PodTest {
 protected:
  SpawnerTest() { start_core(fake_child("pod")); }

  void start_core(RuntimeCommand command, manifest::Config config = {}, std::optional<ParentLink> parent = std::nullopt) {
    core.reset();
    lock.reset();
    config.pod_name = "root";
    config.model.scheme = "rehearsal";
    config.model.model_id = "none";
    if (config.scope.allow.empty()) config.scope.allow = {write_rule(work)};
    PodState state;
    state.pod_name = "root";
    state.pod_id = "root-id";
    state.session_id = "0192f0c0-0000-7000-8000-000000000001";
    state.segment_id = "0192f0c0-0000-7000-8000-000000000002";
    state.cwd = work;
    state.workspace_root = work;
    state.parent = std::move(parent);
    state.config = config;
    lock = *registry::InstanceLock::acquire(paths.pod_lock("root"), "root-instance");
    auto table = registry::open_sqlite_registry(paths.registry_db(), registry::lock_liveness(paths.runtime_dir, paths.data_dir));
    ASSERT_TRUE(table) << table.error().message;
    registry::Allocation row;
    row.pod_name = "root";
    row.pod_id = "root-id";
    row.instance_id = "root-instance";
    row.socket = paths.pod_socket("root");
    row.scope_allow = config.scope.allow;
    row.scope_deny = config.scope.deny;
    (void)(*table)->release("root-id", "root-instance");
    auto registered = (*table)->register_pod(row);
    ASSERT_TRUE(registered) << registered.error().message;
    auto resolved = manifest::resolve(config);
    ASSERT_TRUE(resolved) << resolved.error().message;
    core = std::make_unique<PodCore>(loop, paths, std::move(command), *resolved, state, "root-instance",
                                     scope::Scope::from_resolved(config.scope), std::move(*table),
                                     std::make_unique<PodWorkers>(loop));
  }

  /// The rows of the registry, by name.
  std::map<std::string, registry::Allocation> rows() {
    std::map<std::string, registry::Allocation> result;
    core->registry_worker.drain();
    auto list = core->registry->list();
    EXPECT_TRUE(list);
    if (list) for (auto& row : *list) result[row.pod_name] = row;
    return result;
  }
  /// What is on disk of `root`.
  PodState stored() {
    core->log_worker.drain();
    auto state = read_pod_state(paths, "root");
    EXPECT_TRUE(state && *state) << "no state";
    return state && *state ? **state : PodState{};
  }
  std::string child_file(std::string const& child, std::string const& name) {
    auto text = io::read_file(paths.pod_runtime_dir(child) + "/" + name);
    return text ? *text : "<none>";
  }

  std::optional<registry::InstanceLock> lock;
  std::unique_ptr<PodCore> core;
};

}  // namespace insomnia::pod
