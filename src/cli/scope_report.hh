#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "registry/registry.hh"
#include "scope/rule.hh"

namespace insomnia::cli {

/// How a Pod stands to a path in its line of delegation.
enum class Standing {
  Holds,   ///< it may write there
  Lent,    ///< its rule covers the path, but it has lent it
  Protected,  ///< its rule covers the path, but the place is protected and the rule does not open it
  Denied,  ///< its rule covers the path, but its own deny takes it off
  NoRule,  ///< it stands between others and has no write rule for the path
};

/// A Pod in the line by which a path is held.
struct PathHolder {
  std::string pod_name;
  std::string pod_id;
  std::string task;
  pid_t pid = 0;
  int64_t since_ms = 0;
  bool starting = false;  ///< a reservation: no process has taken it over yet
  Standing standing = Standing::Holds;
  std::optional<scope::ScopeRule> rule;       ///< the write rule that covers the path
  std::string lent_to;                        ///< Lent: the next Pod down the line that has a rule
  std::optional<scope::ScopeRule> denied_by;  ///< Denied
  bool may_read = true;
  friend bool operator==(PathHolder const&, PathHolder const&) = default;
};

struct PathReader {
  std::string pod_name;
  std::string pod_id;
  scope::ScopeRule rule;
  bool starting = false;
  friend bool operator==(PathReader const&, PathReader const&) = default;
};

/// A path below the one that was asked for which another Pod may write.
struct PathPart {
  std::string path;
  std::string pod_name;
  std::string pod_id;
  scope::ScopeRule rule;
  bool starting = false;
  friend bool operator==(PathPart const&, PathPart const&) = default;
};

/// Who may do what at one path: what the registry says at one moment.
struct ScopeReport {
  std::string asked;  ///< the path as it was given, absolute
  std::string path;   ///< resolved
  /// From the deepest Pod whose write rule covers the path up to the root. The first is the writer when it
  /// Holds; else nobody may write. Empty: nobody holds the path. When several deny it side by side, one line
  /// after the other.
  std::vector<PathHolder> holders;
  std::vector<PathReader> readers;  ///< all but the writer, by name
  std::vector<PathPart> parts;      ///< by path
  PathHolder const* writer() const;
  friend bool operator==(ScopeReport const&, ScopeReport const&) = default;
};

/// REQUIRES: `path` canonical. `rows` as Registry::list() gives them. Pure.
ScopeReport scope_report(std::vector<registry::Allocation> const& rows, std::string const& asked,
                         std::string const& path);

/// For people; `width` in columns, 0: no limit. Lists are cut and say so. Pure.
std::string scope_report_text(ScopeReport const& report, int64_t now_ms, size_t width);
/// The JSON object of doc/cli.md. Pure.
std::string scope_report_json(ScopeReport const& report);

}  // namespace insomnia::cli
