#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pod/core.hh"
#include "wire/pod_event.hh"

namespace insomnia::pod {

/// What this Pod knows of the Pods below its children: records with `grandchild`, which come and go by what the children tell. Every change
/// is told on to the own parent, so that all ancestors know. A record whose news got lost goes when the registry does not know its Pod any more:
/// at the start, when the child above it ends, and when there are many.
class Grandchildren {
 public:
  /// `tell_parent` puts this Pod's name into the event as the one that tells it.
  Grandchildren(PodCore& core, std::function<void(wire::PodEvent)> tell_parent);
  ~Grandchildren();

  /// News of `child`, a record of this Pod. What is known already, or not known, changes nothing.
  void lent(ChildRecord const& child, wire::ScopeSubDelegated const& event);
  void returned(ChildRecord const& child, wire::ScopeReturned const& event);
  /// Whether there are Pods known through this child.
  bool any_below(ChildRecord const& child) const;
  /// `child` has ended and those that it left are children of this Pod by now. `rows`: all that live.
  void child_ended(ChildRecord const& child, std::vector<registry::Allocation> const& rows);
  /// Drops those that the registry does not list.
  void look();

 private:
  bool forget(std::string const& pod_name);

  PodCore& core_;
  std::function<void(wire::PodEvent)> tell_parent_;
  size_t look_above_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insomnia::pod
