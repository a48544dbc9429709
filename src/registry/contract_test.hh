#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <set>
#include <string>

#include "registry/registry.hh"
#include "scope/test_directory.hh"

namespace insomnia::registry {

using scope::read_rule;
using scope::write_rule;
using Rules = std::vector<scope::ScopeRule>;

/// An implementation that the contract is held against. Registries made for one directory share their rows.
struct Implementation {
  std::string name;
  std::function<std::unique_ptr<Registry>(std::string const& directory, Liveness liveness)> open;
};

inline void PrintTo(Implementation const& implementation, std::ostream* out) {
  *out << implementation.name;
}

/// Instances are alive until a test says that they died.
struct Instances {
  std::set<std::string> dead;
  Liveness liveness() {
    return [this](Allocation const& row) {
      return !dead.contains(row.state == AllocationState::Live ? row.instance_id : row.spawner_instance);
    };
  }
};

/// A live row "name" with pod_id "name-id" and instance "name-1".
inline Allocation pod(std::string const& name, Rules allow, Rules deny = {}) {
  Allocation row;
  row.pod_name = name;
  row.pod_id = name + "-id";
  row.instance_id = name + "-1";
  row.socket = "/run/" + name + "/sock";
  row.workspace_root = "/ws";
  row.task = "task of " + name;
  row.pid = 4711;
  row.since_ms = 1000;
  row.scope_allow = std::move(allow);
  row.scope_deny = std::move(deny);
  return row;
}

/// What `spawner` passes to delegate() for a child.
inline Allocation child(std::string const& spawner, std::string const& name, Rules allow, Rules deny = {}) {
  Allocation row = pod(name, std::move(allow), std::move(deny));
  row.state = AllocationState::Reserved;
  row.delegated_from = spawner + "-id";
  row.spawner_instance = spawner + "-1";
  row.spawner_name = spawner;
  return row;
}

/// Run an implementation through the contract with INSTANTIATE_TEST_SUITE_P(Name, RegistryContract,
/// testing::Values(...)).
class RegistryContract : public testing::TestWithParam<Implementation> {
 protected:
  RegistryContract() : registry_(open()) {}

  std::unique_ptr<Registry> open() { return GetParam().open(directory_.path(), instances_.liveness()); }

  void add(Allocation const& row) {
    auto added = registry_->register_pod(row);
    ASSERT_TRUE(added) << added.error().message;
  }
  Result<void> delegate(Allocation const& row) { return registry_->delegate(row, std::nullopt, Limits{}); }
  /// Reserves and adopts.
  void spawn(Allocation const& row) {
    auto reserved = delegate(row);
    ASSERT_TRUE(reserved) << reserved.error().message;
    auto adopted = registry_->adopt(row.pod_id, row.instance_id, row.pid, row.segment_id);
    ASSERT_TRUE(adopted) << adopted.error().message;
  }
  void release(std::string const& name) {
    auto released = registry_->release(name + "-id", name + "-1");
    ASSERT_TRUE(released) << released.error().message;
  }
  void die(std::string const& name) { instances_.dead.insert(name + "-1"); }

  std::vector<std::string> names() {
    std::vector<std::string> result;
    auto rows = registry_->list().value();
    for (auto const& row : rows) result.push_back(row.pod_name);
    return result;
  }
  Allocation get(std::string const& name) {
    auto found = registry_->find(name);
    EXPECT_TRUE(found && *found) << name;
    return found && *found ? **found : Allocation{};
  }
  Rules lent(std::string const& name) { return registry_->lent(name + "-id").value(); }
  /// The name of the parent, "" for a root.
  std::string parent(std::string const& name) {
    std::string id = get(name).delegated_from;
    return id.substr(0, id.rfind("-id"));
  }

  scope::TestDirectory directory_;
  Instances instances_;
  std::unique_ptr<Registry> registry_;
};

/// Whether it failed with this code and all these words.
inline testing::AssertionResult failed(Result<void> const& result, Code code,
                                       std::vector<std::string> const& words) {
  if (result) return testing::AssertionFailure() << "it succeeded";
  if (result.error().code != code) {
    return testing::AssertionFailure()
           << "code " << code_name(result.error().code) << ": " << result.error().message;
  }
  for (auto const& word : words) {
    if (result.error().message.find(word) == std::string::npos) {
      return testing::AssertionFailure() << "no '" << word << "' in: " << result.error().message;
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace insomnia::registry
