#pragma once

#include <sys/wait.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pod/child_tools.hh"
#include "pod/children.hh"
#include "pod/fixture_test.hh"
#include "pod/pod_wait.hh"

namespace insomnia::pod {

/// Children of `root` that are processes of the fake child, started as a spawn does.
class ChildrenTest : public SpawnerTest {
 protected:
  ChildrenTest() { make_children(); }
  void TearDown() override {
    bool stopped = false;
    children->stop_all([&] { stopped = true; });
    run_until([&] { return stopped; });
    tools.reset();
    waits.reset();
    children.reset();
    // Those that an "earlier instance" started are nobody else's to reap.
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
  void make_children() {
    children = std::make_unique<Children>(*core, Children::Host{.broadcast = [](wire::EventBody const&) {},
                                                                .scan_mail = [this](std::function<void()> done) { ++scans; done(); },
                                                                .synthesised_end =
                                                                    [this](wire::PodEvent event, std::string) {
                                                                      EXPECT_FALSE(core->state.spawned_children.empty()) << "told while the record is there";
                                                                      ends.push_back(event);
                                                                    },
                                                                .tell_parent = [this](wire::PodEvent event) { told.push_back(event); },
                                                                .scope_changed = [] {},
                                                                .changed = [this] { waits->look_again(); },
                                                                .works_for_parent = [this] { return works_for_parent; }});
    tools = std::make_unique<ChildTools>(*core, *children, poke_sender);
    waits = std::make_unique<PodWaits>(*core, *children);
  }
  /// As after a crash of this Pod: nothing is in memory but what was stored.
  void restart_children() {
    core->log_worker.drain();
    tools.reset();
    waits.reset();
    children.reset();
    for (auto const& record : core->state.spawned_children) core->authority.take_back(record.pod_id);
    make_children();
    children->recover();
  }
  /// A live child; returns its process id.
  pid_t start(std::string const& name, std::string const& role, std::string const& target) {
    HandOver hand_over;
    hand_over.config.pod_name = name;
    hand_over.config.scope.allow = {write_rule(target)};
    hand_over.pod_id = name + "-id";
    hand_over.instance_id = name + "-instance";
    hand_over.parent = ParentLink{"root-id", "root-instance", "root", paths.pod_socket("root")};
    hand_over.cwd = work;
    registry::Allocation row;
    row.pod_name = name;
    row.pod_id = hand_over.pod_id;
    row.instance_id = hand_over.instance_id;
    row.spawner_instance = "root-instance";
    row.delegated_from = "root-id";
    row.socket = paths.pod_socket(name);
    row.scope_allow = hand_over.config.scope.allow;
    EXPECT_TRUE(core->registry->delegate(row, std::nullopt, {}));
    ChildRecord record;
    record.pod_name = name;
    record.pod_id = hand_over.pod_id;
    record.instance_id = hand_over.instance_id;
    record.socket_path = paths.pod_socket(name);
    record.scope_delegated = hand_over.config.scope.allow;
    children->add(record);
    core->authority.lend(record.pod_id, name, record.scope_delegated);
    std::optional<Result<LaunchedPod>> launched;
    PodLaunch launch(loop, paths, fake_child(role), hand_over, 60'000, [&](Result<LaunchedPod> result) { launched = std::move(result); });
    run_until([&] { return launched.has_value(); });
    if (!*launched) {
      ADD_FAILURE() << launched->error().message;
      return 0;
    }
    pid_t pid = (*launched)->child.pid();
    children->started(hand_over.pod_id, std::move((*launched)->child));
    core->persist();
    return pid;
  }
  /// A live Pod that another Pod, a child of root's or one further below, has started.
  loop::Child start_below(std::string const& parent, std::string const& name, std::string const& target) {
    registry::Allocation row;
    row.pod_name = name;
    row.pod_id = name + "-id";
    row.instance_id = name + "-instance";
    row.spawner_instance = parent + "-instance";
    row.delegated_from = parent + "-id";
    row.socket = paths.pod_socket(name);
    row.scope_allow = {write_rule(target)};
    EXPECT_TRUE(core->registry->delegate(row, std::nullopt, {}));
    HandOver hand_over;
    hand_over.config.pod_name = name;
    hand_over.pod_id = row.pod_id;
    hand_over.instance_id = row.instance_id;
    hand_over.parent = ParentLink{parent + "-id", parent + "-instance", parent, paths.pod_socket(parent)};
    hand_over.cwd = work;
    std::optional<Result<LaunchedPod>> launched;
    PodLaunch launch(loop, paths, fake_child("pod"), hand_over, 60'000, [&](Result<LaunchedPod> result) { launched = std::move(result); });
    run_until([&] { return launched.has_value(); });
    if (!*launched) panic((*launched).error().message);
    return std::move((*launched)->child);
  }
  tools::Output call(void (ChildTools::*tool)(std::string_view, ChildTools::Done), std::string const& arguments) {
    std::optional<tools::Output> answer;
    (tools.get()->*tool)(arguments, [&](tools::Output output) { answer = std::move(output); });
    run_until([&] { return answer.has_value(); });
    return *answer;
  }

  std::unique_ptr<Children> children;
  std::unique_ptr<ChildTools> tools;
  std::unique_ptr<PodWaits> waits;
  std::vector<wire::PodEvent> ends;
  std::vector<wire::PodEvent> told;  ///< to the own parent
  PokeSender poke_sender{loop};
  int scans = 0;
  bool works_for_parent = false;
};

}  // namespace insomnia::pod
