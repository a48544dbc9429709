#include "cli/ps.hh"

#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/clock.hh"
#include "base/json.hh"
#include "base/paths.hh"
#include "base/text.hh"
#include "cli/exit_code.hh"
#include "cli/live_pods.hh"
#include "cli/output.hh"
#include "cli/table.hh"
#include "registry/liveness.hh"
#include "scope/rules_json.hh"
#include "scope/scope.hh"

namespace insomnia::cli {
namespace {

constexpr size_t kScopeColumn = 40;
constexpr size_t kDeepest = 32;  ///< that the table shows by indenting

/// Rows as indices, each below its parent if that is among them.
class Tree {
 public:
  explicit Tree(std::vector<PodRow> const& rows) : children_(rows.size() + 1), done_(rows.size()) {
    std::unordered_map<std::string_view, size_t> by_id, nameless;
    for (size_t i = 0; i < rows.size(); ++i) {
      auto const& row = rows[i].row;
      if (row.pod_id.empty())
        nameless.emplace(row.pod_name, i);  // its files do not say who it was
      else
        by_id.emplace(row.pod_id, i);
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      size_t parent = rows.size();
      auto const& id = rows[i].row.delegated_from;
      if (auto found = by_id.find(id); !id.empty() && found != by_id.end())
        parent = found->second;
      else if (auto const& stored = rows[i].stored; stored && !stored->parent_pod_name.empty()) {
        if (auto lost = nameless.find(stored->parent_pod_name); lost != nameless.end()) parent = lost->second;
      }
      children_[parent].push_back(i);
    }
  }

  /// Each row with its depth, parents first. Circles of parents, which only damaged files have, begin
  /// anywhere.
  std::vector<std::pair<size_t, size_t>> walk() {
    for (size_t root : children_.back()) visit(root);
    for (size_t i = 0; i < done_.size(); ++i) visit(i);
    return std::move(result_);
  }

 private:
  void visit(size_t start) {
    std::vector<std::pair<size_t, size_t>> open{{start, 0}};
    while (!open.empty()) {
      auto [index, depth] = open.back();
      open.pop_back();
      if (done_[index]) continue;
      done_[index] = true;
      result_.emplace_back(index, depth);
      for (auto child = children_[index].rbegin(); child != children_[index].rend(); ++child)
        open.emplace_back(*child, depth + 1);
    }
  }

  std::vector<std::vector<size_t>> children_;  // the last: of those without a parent
  std::vector<bool> done_;
  std::vector<std::pair<size_t, size_t>> result_;
};

std::string scope_text(registry::Allocation const& row, std::optional<pod::StoredPod> const& stored) {
  if (stored && row.pod_id.empty()) return "-";
  return scope::describe_rules(row.scope_allow);
}

/// A stored Pod has no process; what takes the place of one.
void add_stored(boost::json::object& item, pod::StoredPod const& stored) {
  for (auto const* key : {"instance_id", "since_ms", "socket"}) item[key] = nullptr;
  if (item["pid"] == 0) item["pid"] = nullptr;
  // The parent is told also when it is not in the list.
  if (!stored.parent_pod_name.empty()) item["parent"] = stored.parent_pod_name;
  item["reason"] =
      stored.reason.empty() ? boost::json::value(nullptr) : boost::json::value(text::to_utf8(stored.reason));
  item["session_id"] = text::to_utf8(stored.session_id);
  item["segment_id"] = text::to_utf8(stored.segment_id);
  item["last_active_ms"] =
      stored.last_active_ms > 0 ? boost::json::value(stored.last_active_ms) : boost::json::value(nullptr);
}

/// A Pod that holds the lock of its state lives, whatever the registry says: it is starting or ending, or has
/// not found back into the registry yet.
void mark_unregistered(PodRow& row, Paths const& paths) {
  auto holder = registry::lock_holder(paths.pod_dir(row.row.pod_name) + "/lock");
  if (!holder || !*holder) return;
  row.state = "unregistered";
  row.row.pid = (*holder)->pid;
  row.stored->reason = "its process lives, but is not in the registry of Pods";
}

Result<std::vector<PodRow>> collect(PsOptions const& options, Environment const& environment,
                                    Paths const& paths) {
  // The stored ones first: a Pod that starts or ends meanwhile is shown once, never missed.
  std::vector<pod::StoredPod> stored;
  if (options.all) stored = TRY(pod::stored_pods(paths, environment));
  std::vector<PodRow> rows;
  auto live = TRY(live_pods(paths));
  for (auto& row : live) {
    auto status = pod_status(paths, row);
    rows.push_back({.row = std::move(row), .state = std::move(status.state), .isolation = std::move(status.isolation)});
  }
  rows = with_stored(std::move(rows), std::move(stored));
  for (auto& row : rows) {
    if (row.stored) mark_unregistered(row, paths);
  }
  return rows;
}

}  // namespace

std::vector<PodRow> order_rows(std::vector<PodRow> rows, bool tree) {
  std::sort(rows.begin(), rows.end(),
            [](PodRow const& a, PodRow const& b) { return a.row.pod_name < b.row.pod_name; });
  if (!tree) return rows;
  std::vector<PodRow> result;
  for (auto [index, depth] : Tree(rows).walk()) {
    result.push_back(rows[index]);
    result.back().depth = depth;
  }
  return result;
}

std::string pod_table(std::vector<PodRow> const& rows, int64_t now_ms, size_t width) {
  std::vector<std::vector<std::string>> cells;
  for (auto const& [row, state, depth, isolation, stored] : rows) {
    std::string name = std::string(2 * std::min(depth, kDeepest), ' ') + safe_line(row.pod_name, 64);
    int64_t since_ms = stored ? stored->last_active_ms : row.since_ms;
    cells.push_back({std::move(name), safe_line(state, 20), row.pid > 0 ? std::to_string(row.pid) : "-",
                     since_ms > 0 ? short_duration(now_ms - since_ms) : "-", isolation.empty() ? "-" : safe_line(isolation, 10),
                     safe_line(scope_text(row, stored), width > 0 ? kScopeColumn : 0),
                     safe_line(row.task, 0)});
  }
  return format_table({"NAME", "STATE", "PID", "SINCE", "ISOLATION", "SCOPE", "TASK"}, cells, width);
}

std::string pod_list_json(std::vector<PodRow> const& rows) {
  std::map<std::string, std::string> names;
  for (auto const& each : rows) names[each.row.pod_id] = each.row.pod_name;
  names.erase("");
  boost::json::array list;
  for (auto const& [row, state, depth, isolation, stored] : rows) {
    boost::json::object item{
        {"pod_name", row.pod_name}, {"pod_id", row.pod_id}, {"instance_id", row.instance_id},
        {"state", state},           {"pid", row.pid},       {"since_ms", row.since_ms}};
    auto parent = names.find(row.delegated_from);
    item["parent"] = parent == names.end() ? boost::json::value(nullptr) : boost::json::value(parent->second);
    item["socket"] = row.socket;
    item["workspace_root"] = text::to_utf8(row.workspace_root);
    item["task"] = text::to_utf8(row.task);
    item["isolation"] = isolation.empty() ? boost::json::value(nullptr) : boost::json::value(text::to_utf8(isolation));
    item["scope"] =
        boost::json::object{{"allow", scope::rules_to_json(row.scope_allow)}, {"deny", scope::rules_to_json(row.scope_deny)}};
    if (stored) add_stored(item, *stored);
    list.push_back(std::move(item));
  }
  return json::dump_pretty(list) + "\n";
}

std::vector<PodRow> with_stored(std::vector<PodRow> rows, std::vector<pod::StoredPod> stored) {
  std::unordered_set<std::string> live;
  for (auto const& each : rows) live.insert(each.row.pod_name);
  for (auto& pod : stored) {
    if (live.contains(pod.pod_name)) continue;
    registry::Allocation row;
    row.pod_name = pod.pod_name;
    row.pod_id = pod.pod_id;
    row.delegated_from = pod.parent_pod_id;
    row.segment_id = pod.segment_id;
    row.workspace_root = pod.workspace_root;
    row.task = pod.task;
    row.scope_allow = pod.scope.allow;
    row.scope_deny = pod.scope.deny;
    rows.push_back({.row = std::move(row),
                    .state = std::string(pod::stored_state_name(pod.state)),
                    .stored = std::move(pod)});
  }
  return rows;
}

int list_pods(PsOptions const& options, Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  auto rows = collect(options, environment, paths);
  if (!rows) return fail_with(rows.error());
  auto ordered = order_rows(*std::move(rows), options.tree);
  if (options.json) return print(pod_list_json(ordered));
  if (ordered.empty()) {
    print_note(
        options.all
            ? "no Pod is running or stored; `insomnia run \"…\"` starts one"
            : "no Pod is running; `insomnia run \"…\"` starts one, `insomnia ps -a` lists stored ones");
    return kFinished;
  }
  return print(pod_table(ordered, SystemClock().wall_ms(), terminal_of(STDOUT_FILENO, environment).width));
}

}  // namespace insomnia::cli
