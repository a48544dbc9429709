#pragma once

#include <map>
#include <string>
#include <vector>

#include "scope/scope.hh"

namespace insomnia::pod {

/// What this Pod may touch right now: its own scope less the write rights that it has lent to living children. The lent parts are kept by
/// child, so that giving one back never touches another's.
class ScopeAuthority {
 public:
  explicit ScopeAuthority(scope::Scope own) : own_(std::move(own)) {}

  scope::Scope const& own() const { return own_; }
  /// Own scope with a deny(write) for each lent write rule.
  scope::Scope effective() const;

  /// Lends the write rules among `rules`. Lending to the same child again replaces.
  void lend(std::string const& child_id, std::string const& child_name, std::vector<scope::ScopeRule> const& rules);
  /// Gives back what the child had. Unknown is fine.
  void take_back(std::string const& child_id) { loans_.erase(child_id); }

  /// Why `path` cannot be read or written, for the model: which rule, who holds it, what can be done. Empty when it can.
  std::string refusal(std::string const& path, scope::Permission wanted) const { return refusal(own_, path, wanted); }
  /// The same by the rules alone: the Pod's own files and directories do not count.
  std::string refusal_by_rules(std::string const& path, scope::Permission wanted) const;

 private:
  struct Loan {
    std::string child_name;
    std::vector<scope::ScopeRule> rules;
  };
  std::string refusal(scope::Scope const& scope, std::string const& path, scope::Permission wanted) const;
  scope::Scope own_;
  std::map<std::string, Loan> loans_;
};

}  // namespace insomnia::pod
