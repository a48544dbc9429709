#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/environment.hh"
#include "base/error.hh"

namespace insomnia {

/// Where insomnia keeps its files. Resolved once from an Environment; a directory that cannot be resolved is empty, and
/// `require_*` then says which variable would set it. Nothing here touches the file system but `resolve`, which looks
/// whether /run/user/<uid> exists and is ours.
///
/// config_dir:  INSOMNIA_CONFIG_DIR, $INSOMNIA_HOME/config, $XDG_CONFIG_HOME/insomnia, $HOME/.config/insomnia
/// data_dir:    INSOMNIA_DATA_DIR, $INSOMNIA_HOME, $HOME/.insomnia
/// runtime_dir: INSOMNIA_RUNTIME_DIR, $INSOMNIA_HOME/run, $XDG_RUNTIME_DIR/insomnia, /run/user/<uid>/insomnia, <data_dir>/run
struct Paths {
  std::string config_dir;
  std::string data_dir;
  std::string runtime_dir;

  static Paths resolve(Environment const& environment);

  Result<std::string> require_config_dir() const;
  Result<std::string> require_data_dir() const;
  Result<std::string> require_runtime_dir() const;

  std::string sessions_dir() const { return data_dir + "/sessions"; }
  std::string pods_dir() const { return data_dir + "/pods"; }
  /// Durable state of one Pod: <data_dir>/pods/<name>.
  std::string pod_dir(std::string_view name) const;
  /// Volatile state of one Pod: <runtime_dir>/<name>.
  std::string pod_runtime_dir(std::string_view name) const;
  std::string pod_socket(std::string_view name) const { return pod_runtime_dir(name) + "/sock"; }
  std::string pod_lock(std::string_view name) const { return pod_runtime_dir(name) + "/lock"; }
  /// What model calls have cost, and their rate limits (usage/ledger.hh).
  std::string usage_db() const { return data_dir + "/usage.db"; }
  std::string registry_db() const { return runtime_dir + "/registry.db"; }

  friend bool operator==(Paths const&, Paths const&) = default;
};

/// The longest socket path the kernel takes, without the final NUL.
inline constexpr size_t kMaxSocketPath = 107;

/// Checks a Pod name: 1 to 64 characters of [A-Za-z0-9._-], no leading '.', none of the reserved names. Pure.
Result<void> check_pod_name(std::string_view name);

/// A valid Pod name made from any text (a directory's base name, say): foreign characters become '-'.
std::string sanitize_pod_name(std::string_view text, std::string_view fallback);

}  // namespace insomnia
