#include "cli/ps.hh"

#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "base/clock.hh"
#include "base/json.hh"
#include "base/paths.hh"
#include "cli/exit_code.hh"
#include "cli/live_pods.hh"
#include "cli/output.hh"
#include "cli/table.hh"
#include "scope/scope.hh"

namespace insomnia::cli {
namespace {

constexpr size_t kScopeColumn = 40;

void add_below(std::string const& parent, size_t depth, std::multimap<std::string, PodRow> const& by_parent,
               std::vector<PodRow>& result) {
  auto [first, last] = by_parent.equal_range(parent);
  for (auto it = first; it != last; ++it) {
    result.push_back(it->second);
    result.back().depth = depth;
    if (!it->second.row.pod_id.empty() && depth < 64)
      add_below(it->second.row.pod_id, depth + 1, by_parent, result);
  }
}

boost::json::array rules_json(std::vector<scope::ScopeRule> const& rules) {
  boost::json::array result;
  for (auto const& rule : rules) {
    result.push_back({{"target", rule.target},
                      {"permission", rule.permission == scope::Permission::Write ? "write" : "read"},
                      {"recursive", rule.recursive}});
  }
  return result;
}

}  // namespace

std::vector<PodRow> order_rows(std::vector<PodRow> rows, bool tree) {
  std::sort(rows.begin(), rows.end(),
            [](PodRow const& a, PodRow const& b) { return a.row.pod_name < b.row.pod_name; });
  if (!tree) return rows;
  std::multimap<std::string, PodRow> by_parent;
  for (auto const& row : rows) {
    bool parent_lives = std::any_of(rows.begin(), rows.end(), [&](PodRow const& other) {
      return other.row.pod_id == row.row.delegated_from;
    });
    by_parent.emplace(parent_lives ? row.row.delegated_from : "", row);
  }
  std::vector<PodRow> result;
  add_below("", 0, by_parent, result);
  return result;
}

std::string pod_table(std::vector<PodRow> const& rows, int64_t now_ms, size_t width) {
  std::vector<std::vector<std::string>> cells;
  for (auto const& [row, state, depth] : rows) {
    std::string name = std::string(2 * depth, ' ') + safe_line(row.pod_name, 64);
    cells.push_back({std::move(name), safe_line(state, 20), row.pid > 0 ? std::to_string(row.pid) : "-",
                     row.since_ms > 0 ? short_duration(now_ms - row.since_ms) : "-",
                     safe_line(scope::describe_rules(row.scope_allow), width > 0 ? kScopeColumn : 0),
                     safe_line(row.task, 0)});
  }
  return format_table({"NAME", "STATE", "PID", "SINCE", "SCOPE", "TASK"}, cells, width);
}

std::string pod_list_json(std::vector<PodRow> const& rows) {
  std::map<std::string, std::string> names;
  for (auto const& [row, state, depth] : rows) names[row.pod_id] = row.pod_name;
  boost::json::array list;
  for (auto const& [row, state, depth] : rows) {
    boost::json::object item{
        {"pod_name", row.pod_name}, {"pod_id", row.pod_id}, {"instance_id", row.instance_id},
        {"state", state},           {"pid", row.pid},       {"since_ms", row.since_ms}};
    item["parent"] = names.contains(row.delegated_from) ? boost::json::value(names[row.delegated_from])
                                                        : boost::json::value(nullptr);
    item["socket"] = row.socket;
    item["workspace_root"] = row.workspace_root;
    item["task"] = row.task;
    item["scope"] =
        boost::json::object{{"allow", rules_json(row.scope_allow)}, {"deny", rules_json(row.scope_deny)}};
    list.push_back(std::move(item));
  }
  return json::dump_pretty(list) + "\n";
}

int list_pods(PsOptions const& options, Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  auto live = live_pods(paths);
  if (!live) return fail_with(live.error());
  std::vector<PodRow> rows;
  for (auto& row : *live) {
    std::string state = pod_state(paths, row);
    rows.push_back({std::move(row), std::move(state)});
  }
  rows = order_rows(std::move(rows), options.tree);
  if (options.json) return print(pod_list_json(rows));
  if (rows.empty()) {
    print_note("no Pod is running; `insomnia run \"…\"` starts one");
    return kFinished;
  }
  return print(pod_table(rows, SystemClock().wall_ms(), terminal_of(STDOUT_FILENO, environment).width));
}

}  // namespace insomnia::cli
