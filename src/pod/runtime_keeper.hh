#pragma once

#include <memory>

#include "loop/event_loop.hh"
#include "pod/brain.hh"
#include "pod/core.hh"
#include "registry/holdings.hh"
#include "registry/liveness.hh"

namespace insomnia::pod {

/// Puts back what vanishes of a living Pod's runtime directory (a logout removes /run/user/UID): the directories, the lock, the sockets, the
/// files that others read, and the row in the registry. Passive: look() is called when somebody asks for it (SIGUSR1) or something was
/// found missing. On the loop's thread.
class RuntimeKeeper {
 public:
  /// `lock`: the one in the runtime directory; replaced when its file has gone. `holdings` belongs to the registry's thread.
  RuntimeKeeper(PodCore& core, Brain& brain, registry::InstanceLock& lock, registry::Holdings& holdings);
  ~RuntimeKeeper();

  /// Restores what is missing; nothing missing: nothing changes. What does not succeed is tried again.
  void look();

 private:
  Result<void> restore_files();
  void restore_row();
  void try_again(Error const& error);
  std::string file(std::string_view name) const { return core_.paths.pod_runtime_dir(core_.name()) + "/" + std::string(name); }

  PodCore& core_;
  Brain& brain_;
  registry::InstanceLock& lock_;
  registry::Holdings& holdings_;
  loop::Timer retry_;
  int failures_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insomnia::pod
