#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "wire/event.hh"
#include "wire/item.hh"

namespace insomnia::cli {

/// Gathers from the events of a demo who started whom, who held which scope and what was refused. Pure.
class DemoReport {
 public:
  /// A Write or Edit that failed.
  struct Refusal {
    std::string pod;
    std::string tool;
    std::string path;
    std::string reason;
    friend bool operator==(Refusal const&, Refusal const&) = default;
  };

  /// `project`: its directory, which the root Pod may write; paths are shown from there.
  DemoReport(std::string root_pod, std::string project)
      : root_(std::move(root_pod)), project_(std::move(project)) {}

  /// Takes every event of the root and its descendants, in order per Pod.
  void on_event(std::string const& pod, wire::Event const& event);

  size_t children() const { return children_.size(); }
  std::vector<Refusal> const& refusals() const { return refusals_; }

  /// One line for each Pod with the scope that it was started with.
  std::string tree_text() const;
  /// One line for each refusal.
  std::string refusal_text() const;

 private:
  struct Child {
    std::string parent;
    wire::ChildInfo info;
  };

  void take_item(std::string const& pod, wire::Item const& item);
  void take_call(std::string const& pod, wire::ToolCall call);
  void take_result(std::string const& pod, std::string const& call_id, std::string const& summary,
                   bool is_error);
  void take_child(std::string const& pod, wire::ChildInfo const& child);
  void add_children(std::string const& parent, std::string const& indent,
                    std::vector<std::pair<std::string, std::string>>& rows) const;
  std::string shown(std::string const& path) const;

  std::string root_;
  std::string project_;
  std::vector<Child> children_;
  std::map<std::pair<std::string, std::string>, wire::ToolCall> calls_;  ///< by Pod and call
  std::set<std::pair<std::string, std::string>> answered_;
  std::vector<Refusal> refusals_;
};

}  // namespace insomnia::cli
