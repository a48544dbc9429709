#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cell/hands.hh"
#include "pod/children.hh"
#include "pod/core.hh"
#include "pod/launch.hh"
#include "pod/pod_tools.hh"
#include "pod/restore.hh"
#include "pod/scope_wait.hh"
#include "profile/config_builder.hh"
#include "profile/profile_set.hh"
#include "tools/tool.hh"

namespace insomnia::pod {

/// One SpawnPod call from its arguments to its answer (DESIGN "Spawn"): validate, durable record `starting`, reserve, demote the own scope,
/// start the process, wait for ready, verify, record `live`, tell the own parent, deliver the task. A failure before ready undoes every
/// step in reverse order; a failure of delivery keeps the child and says so. Destroying it in the middle undoes as well, but for what
/// another process must do: a reservation dies with its spawner. Write targets that do not exist are made as directories.
class SpawnTransaction {
 public:
  struct Host {
    /// Brings the hands to the effective scope; an error means that the old one is in force.
    std::function<void(std::function<void(Result<void>)>)> apply_scope;
    /// Sends scope_sub_delegated to the own parent, if there is one.
    std::function<void(wire::ScopeSubDelegated)> tell_parent;
  };

  SpawnTransaction(PodCore& core, Children& children, profile::ProfileSet const& profiles, Host host,
                   std::function<void(tools::Output)> done);
  ~SpawnTransaction();

  /// `done` is called exactly once, possibly before start() returns (when the input is refused).
  void start(std::string_view arguments);
  /// Brings a stored child back instead: the same steps with its stored settings and scope, and no task to deliver. The child restores its own
  /// children before it is ready.
  void restore(RestorableChild child);
  /// Gives up: undone like any failure when the child is not ready yet. One that is ready keeps its task.
  void cancel();

 private:
  Result<void> validate(std::string_view arguments);
  void build_config();
  void config_built(Result<profile::ChildConfig> child);
  Result<void> validate_restore(RestorableChild child);
  Result<void> check_free_name();
  Result<std::string> child_cwd(scope::Scope const& child_scope) const;
  bool will_be_made(std::string const& path) const;
  bool cancelled();
  void record_starting();
  void reserve();
  void reserved(Result<void> outcome);
  void make_directories();
  void demote();
  void launch();
  void ready(LaunchedPod pod);
  void deliver();
  void roll_back(Error error);
  void finish(tools::Output output);

  PodCore& core_;
  Children& children_;
  profile::ProfileSet const& profiles_;
  Host host_;
  std::function<void(tools::Output)> done_;
  SpawnPodInput input_;
  HandOver hand_over_;
  std::string socket_;
  std::vector<scope::ScopeRule> allow_, deny_;  ///< what is asked for, canonical
  std::vector<manifest::LeftOut> left_out_;  ///< of the profile
  std::vector<std::string> unmapped_;
  std::vector<std::string> missing_;  ///< directories that the scope names and that are made with the child
  bool restoring_ = false;
  bool works_ = false;  ///< the restored child goes on with a run
  bool recorded_ = false;
  bool reserved_ = false;
  bool made_ = false;  ///< missing_ are those that were made
  bool demoted_ = false;
  bool cancelled_ = false;
  bool rolled_back_ = false;
  std::unique_ptr<ScopeWait> wait_;
  std::unique_ptr<PodLaunch> launch_;
  std::unique_ptr<client::RunDelivery> delivery_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insomnia::pod
