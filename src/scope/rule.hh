#pragma once

#include <string>
#include <vector>

namespace insomnia::scope {

/// Ordered: Read < Write; write implies read.
enum class Permission { Read, Write };

/// One grant or denial. `target` is a path (absolute and canonical once it is part of a Scope). Recursive: the target and
/// everything below; otherwise the target and its direct children only.
struct ScopeRule {
  std::string target;
  Permission permission = Permission::Read;
  bool recursive = true;
  friend bool operator==(ScopeRule const&, ScopeRule const&) = default;
};

/// Allow and deny rules as they are written in a manifest. Their order has no meaning.
struct ScopeConfig {
  std::vector<ScopeRule> allow;
  std::vector<ScopeRule> deny;
  friend bool operator==(ScopeConfig const&, ScopeConfig const&) = default;
};

}  // namespace insomnia::scope
