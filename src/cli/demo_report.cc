#include "cli/demo_report.hh"

#include <algorithm>
#include <boost/json.hpp>

#include "base/io.hh"
#include "base/json.hh"
#include "base/text.hh"
#include "wire/log_entry.hh"

namespace insomnia::cli {
namespace {

std::string path_argument(std::string const& arguments) {
  auto object = json::parse_object(arguments);
  if (!object) return "";
  return json::Reader(*object).string_or("file_path", "");
}

}  // namespace

void DemoReport::on_event(std::string const& pod, wire::Event const& event) {
  if (auto const* snapshot = std::get_if<wire::SnapshotEvent>(&event.body)) {
    for (auto const& child : snapshot->children) take_child(pod, child);
    // What a child did before we listened to it.
    for (std::string const& line : snapshot->entries) {
      auto entry = wire::decode_log_entry(line);
      if (!entry) continue;
      if (auto const* said = std::get_if<wire::AssistantItem>(&entry->record)) take_item(pod, said->item);
      if (auto const* result = std::get_if<wire::ToolResultRecord>(&entry->record))
        take_item(pod, result->item);
    }
  } else if (auto const* child = std::get_if<wire::ChildEvent>(&event.body)) {
    take_child(pod, child->child);
  } else if (auto const* call = std::get_if<wire::ToolCallDoneEvent>(&event.body)) {
    take_call(pod, {.call_id = call->id, .name = call->name, .arguments = call->arguments});
  } else if (auto const* result = std::get_if<wire::ToolResultEvent>(&event.body)) {
    take_result(pod, result->id, result->summary, result->is_error);
  }
}

void DemoReport::take_item(std::string const& pod, wire::Item const& item) {
  if (auto const* call = std::get_if<wire::ToolCall>(&item)) take_call(pod, *call);
  if (auto const* result = std::get_if<wire::ToolResult>(&item))
    take_result(pod, result->call_id, result->summary, result->is_error);
}

void DemoReport::take_call(std::string const& pod, wire::ToolCall call) {
  auto key = std::pair(pod, call.call_id);
  calls_.insert_or_assign(std::move(key), std::move(call));
}

void DemoReport::take_result(std::string const& pod, std::string const& call_id, std::string const& summary,
                             bool is_error) {
  auto call = calls_.find({pod, call_id});
  if (call == calls_.end() || !answered_.emplace(pod, call_id).second || !is_error) return;
  std::string const& tool = call->second.name;
  if (tool != "Write" && tool != "Edit") return;
  refusals_.push_back(
      {.pod = pod, .tool = tool, .path = path_argument(call->second.arguments), .reason = summary});
}

void DemoReport::take_child(std::string const& pod, wire::ChildInfo const& child) {
  auto known =
      std::ranges::find_if(children_, [&](Child const& other) { return other.info.pod_id == child.pod_id; });
  if (known == children_.end()) {
    children_.push_back({.parent = pod, .info = child});
  } else if (known->info.scope.empty()) {
    known->info.scope = child.scope;  // later events may come without what was given back
  }
}

std::string DemoReport::shown(std::string const& path) const {
  std::string name(io::base_name(project_));
  if (path == project_) return name;
  if (path.starts_with(project_ + "/")) return name + path.substr(project_.size());
  return path;
}

void DemoReport::add_children(std::string const& parent, std::string const& indent,
                              std::vector<std::pair<std::string, std::string>>& rows) const {
  std::vector<Child const*> mine;
  for (Child const& child : children_) {
    if (child.parent == parent) mine.push_back(&child);
  }
  for (Child const* child : mine) {
    bool last = child == mine.back();
    std::string scope;
    for (auto const& rule : child->info.scope) {
      scope += (scope.empty() ? "" : ", ") +
               std::string(rule.permission == scope::Permission::Write ? "write " : "read ") +
               shown(rule.target);
    }
    rows.emplace_back(indent + (last ? "└─ " : "├─ ") + child->info.pod_name, scope);
    add_children(child->info.pod_name, indent + (last ? "   " : "│  "), rows);
  }
}

std::string DemoReport::tree_text() const {
  std::vector<std::pair<std::string, std::string>> rows = {{root_, "write " + shown(project_)}};
  add_children(root_, "", rows);
  size_t width = 0;
  for (auto const& [name, scope] : rows) width = std::max(width, text::length(name));
  std::string result;
  for (auto const& [name, scope] : rows)
    result += "  " + name + std::string(width + 2 - text::length(name), ' ') + scope + "\n";
  return result;
}

std::string DemoReport::refusal_text() const {
  std::string result;
  for (Refusal const& refusal : refusals_) {
    result += "  " + refusal.pod + ": " + refusal.tool + " " + shown(refusal.path) + "\n    " +
              text::one_line(refusal.reason, 400) + "\n";
  }
  return result;
}

}  // namespace insomnia::cli
