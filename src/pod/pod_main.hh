#pragma once

#include <optional>
#include <string>

#include "base/environment.hh"

namespace insomnia::pod {

/// Options of `insomnia pod` (doc/spawn.md).
struct PodOptions {
  std::string name;                          ///< --pod
  std::string manifest_path;                 ///< --manifest
  std::string profile;                       ///< --profile
  std::string model;                         ///< --model provider/model
  std::string workspace;                     ///< --workspace
  std::string callback;                      ///< --callback
  std::optional<int> spawn_config_fd;        ///< --spawn-config-fd
  std::string spawn_config_json;             ///< --spawn-config-json (people and tests)
  std::optional<int> ready_fd;               ///< --ready-fd
  std::optional<int> lifeline_fd;            ///< --lifeline-fd
  bool adopt = false;                        ///< --adopt
  bool require_pod_state = false;            ///< --require-pod-state
};

/// Runs a Pod until it is told to end. Returns the exit code: 0, or 1 after printing "error: …" on stderr.
int pod_main(PodOptions const& options, Environment const& environment);

}  // namespace insomnia::pod
