#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pod/fixture_test.hh"
#include "pod/spawn.hh"
#include "profile/discovery.hh"

namespace insomnia::pod {

/// Runs SpawnPod calls of `root` with the fake child.
class SpawnTest : public SpawnerTest {
 protected:
  SpawnTest() { make_children(); }
  void TearDown() override {
    transaction.reset();
    stop_children();
  }

  void make_children() {
    children = std::make_unique<Children>(*core, Children::Host{.broadcast = [this](wire::EventBody const& event) { news.push_back(event); },
                                                                .scan_mail = [](std::function<void()> done) { done(); },
                                                                .synthesised_end = [this](wire::PodEvent event, std::string) { ends.push_back(event); },
                                                                .tell_parent = [](wire::PodEvent const&) {},
                                                                .scope_changed = [] {},
                                                                .changed = [] {},
                                                                .works_for_parent = [] { return false; }});
  }
  void stop_children() {
    if (!children) return;
    bool stopped = false;
    children->stop_all([&] { stopped = true; });
    run_until([&] { return stopped; });
    children.reset();
  }
  /// Another kind of child or another manifest for what follows.
  void restart(std::string role, manifest::Config config = {}, std::optional<ParentLink> parent = std::nullopt) {
    transaction.reset();
    children.reset();
    start_core(fake_child(std::move(role)), std::move(config), std::move(parent));
    make_children();
  }

  std::string arguments(std::string const& name, std::string const& task, std::string const& target, std::string const& more = "") {
    return R"({"name":")" + name + R"(","task":")" + task + R"(","scope":[{"target":")" + target + R"(","permission":"write"}])" + more + "}";
  }
  void begin(std::string const& text) {
    answer.reset();
    SpawnTransaction::Host host{.apply_scope =
                                    [this](std::function<void(Result<void>)> done) {
                                      applied.push_back(core->authority.effective());
                                      loop.post([this, done = std::move(done)] { done(apply_result); });
                                    },
                                .tell_parent = [this](wire::ScopeSubDelegated event) { told.push_back(event); }};
    transaction = std::make_unique<SpawnTransaction>(*core, *children, profiles, std::move(host), [this](tools::Output output) {
      EXPECT_FALSE(answer) << "answered twice";
      answer = std::move(output);
    });
    transaction->start(text);
  }
  tools::Output spawn(std::string const& text) {
    begin(text);
    run_until([&] { return answer.has_value(); });
    return *answer;
  }
  /// Everything is as it was before any spawn.
  void expect_untouched() {
    EXPECT_EQ(rows().size(), 1u);
    EXPECT_TRUE(core->state.spawned_children.empty());
    EXPECT_TRUE(stored_children().empty());
    EXPECT_EQ(core->authority.effective(), core->authority.own());
    EXPECT_FALSE(children->any_living());
  }
  std::vector<ChildRecord> stored_children() {
    core->log_worker.drain();
    auto state = read_pod_state(paths, "root");
    return state && *state ? (*state)->spawned_children : std::vector<ChildRecord>{};
  }

  profile::ProfileSet profiles = profile::discover_profiles({}, {.workspace = "/", .start_host = nullptr});
  std::unique_ptr<Children> children;
  std::unique_ptr<SpawnTransaction> transaction;
  std::optional<tools::Output> answer;
  Result<void> apply_result;
  std::vector<scope::Scope> applied;
  std::vector<wire::ScopeSubDelegated> told;
  std::vector<wire::EventBody> news;
  std::vector<wire::PodEvent> ends;
};

}  // namespace insomnia::pod
