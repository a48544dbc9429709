#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"
#include "cli/output.hh"
#include "cli/scope_report.hh"
#include "cli/table.hh"
#include "scope/protected.hh"

namespace insomnia::cli {
namespace {

using scope::ScopeRule;

/// What people get to see of a list; JSON has room for more.
constexpr size_t kShown = 20;
constexpr size_t kShownInJson = 1'000;
constexpr size_t kLeastPath = 20;
constexpr size_t kLeastTask = 12;

std::string rule_text(ScopeRule const& rule) {
  return (rule.permission == scope::Permission::Write ? "write:" : "read:") + safe_path(rule.target) +
         (rule.recursive ? "" : " [non-recursive]");
}

std::string quoted(std::string const& name) {
  return "`" + safe_line(name, 64) + "`";
}

std::string headline(ScopeReport const& report, int64_t now_ms, size_t width) {
  std::string path = safe_path(report.path);
  if (report.holders.empty()) return path + " is free: nobody holds it\n";
  PathHolder const& first = report.holders.front();
  if (first.standing == Standing::Protected) {
    std::string place(scope::protected_place(report.path));
    return path + " is written by nobody: " + safe_path(place) + " is protected (" + quoted(first.pod_name) +
           " has no rule that opens it)\n";
  }
  if (report.writer() == nullptr) {
    return path + " is written by nobody: " + quoted(first.pod_name) + " denies it (" +
           rule_text(*first.denied_by) + ")\n";
  }
  std::string head = path + (first.starting ? " is held for " : " is written by ") + quoted(first.pod_name) +
                     (first.starting ? ", which is starting" : "");
  std::string tail = first.since_ms > 0 ? ", for " + short_duration(now_ms - first.since_ms) : "";
  std::string task = safe_line(first.task, 0);
  if (task.empty()) return head + tail + "\n";
  size_t taken = text::length(head) + text::length(tail) + std::string_view(" (task: )").size();
  size_t room = width == 0 ? 0 : std::max(kLeastTask, width > taken ? width - taken : 0);
  return head + " (task: " + safe_line(task, room) + ")" + tail + "\n";
}

std::string standing_text(PathHolder const& holder) {
  std::string blind = holder.may_read ? "" : ", may not read it";
  switch (holder.standing) {
    case Standing::Holds:
      return "holds it" + blind;
    case Standing::Lent:
      return "lent it to " + safe_line(holder.lent_to, 64) + blind;
    case Standing::Protected:
      return "may not write it: protected";
    case Standing::Denied:
      return "denies it: " + rule_text(*holder.denied_by);
    case Standing::NoRule:
      return "has no rule for it";
  }
  return "";
}

/// Lines with aligned cells, two columns in. The cell number `flexible`, a path, gives way when a line would
/// be too long.
std::string aligned(std::vector<std::vector<std::string>> rows, size_t flexible, size_t width) {
  if (rows.empty()) return "";
  std::vector<size_t> widths(rows.front().size());
  auto measure = [&] {
    for (size_t i = 0; i < widths.size(); ++i) {
      widths[i] = 0;
      for (auto const& row : rows) widths[i] = std::max(widths[i], text::length(row[i]));
    }
  };
  measure();
  size_t others = 0;
  for (size_t i = 0; i < widths.size(); ++i) others += i == flexible ? 2 : widths[i] + 2;
  if (width > 0 && others + widths[flexible] > width) {
    size_t room = std::max(kLeastPath, width > others ? width - others : 0);
    for (auto& row : rows) row[flexible] = cut_middle(row[flexible], room);
    measure();
  }
  std::string result;
  for (auto const& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += "  " + row[i] + std::string(widths[i] - text::length(row[i]), ' ');
    }
    while (line.ends_with(' ')) line.pop_back();
    result += line + "\n";
  }
  return result;
}

std::string left_out(size_t count) {
  return count <= kShown ? "" : "  … and " + std::to_string(count - kShown) + " more\n";
}

std::string holder_lines(ScopeReport const& report, size_t width) {
  std::vector<std::vector<std::string>> rows;
  for (auto const& holder : report.holders) {
    if (rows.size() == kShown) break;
    std::string process = holder.starting  ? "starting"
                          : holder.pid > 0 ? "pid " + std::to_string(holder.pid)
                                           : "-";
    rows.push_back({safe_line(holder.pod_name, 64), holder.rule ? rule_text(*holder.rule) : "-",
                    std::move(process), standing_text(holder)});
  }
  return aligned(std::move(rows), 1, width) + left_out(report.holders.size());
}

/// Those that were not shown among the holders.
std::string reader_lines(ScopeReport const& report, size_t width) {
  std::vector<std::string> items;
  for (auto const& reader : report.readers) {
    bool shown = std::any_of(report.holders.begin(), report.holders.end(),
                             [&](PathHolder const& holder) { return holder.pod_id == reader.pod_id; });
    if (shown) continue;
    size_t room = width == 0 ? 0 : std::max(kLeastPath, width / 2);
    items.push_back(safe_line(reader.pod_name, 64) + " (" + cut_middle(rule_text(reader.rule), room) +
                    (reader.starting ? ", starting" : "") + ")");
  }
  if (items.empty()) return "";
  constexpr std::string_view kHead = "  read by: ";
  std::string result, line(kHead);
  for (size_t i = 0; i < items.size() && i < kShown; ++i) {
    bool last = i + 1 == items.size() || i + 1 == kShown;
    std::string item = items[i] + (last ? "" : ",");
    bool begins = line.size() == kHead.size();
    if (!begins && width > 0 && text::length(line) + 1 + text::length(item) > width) {
      result += line + "\n";
      line = std::string(kHead.size(), ' ');
      begins = true;
    }
    line += (begins ? "" : " ") + item;
  }
  return result + line + "\n" + left_out(items.size());
}

std::string part_lines(ScopeReport const& report, size_t width) {
  if (report.parts.empty()) return "";
  std::vector<std::vector<std::string>> rows;
  for (auto const& part : report.parts) {
    if (rows.size() == kShown) break;
    rows.push_back({"  " + safe_path(part.path) + (part.rule.recursive ? "" : " [non-recursive]"),
                    safe_line(part.pod_name, 64) + (part.starting ? " (starting)" : "")});
  }
  return "  written by others below it:\n" + aligned(std::move(rows), 0, width) +
         left_out(report.parts.size());
}

// ---- JSON

namespace bj = boost::json;

bj::value rule_json(std::optional<ScopeRule> const& rule) {
  if (!rule) return nullptr;
  return bj::object{{"target", text::to_utf8(rule->target)},
                    {"permission", rule->permission == scope::Permission::Write ? "write" : "read"},
                    {"recursive", rule->recursive}};
}

std::string_view state_name(bool starting) {
  return starting ? "starting" : "live";
}

std::string_view standing_name(Standing standing) {
  switch (standing) {
    case Standing::Holds:
      return "holds";
    case Standing::Lent:
      return "lent";
    case Standing::Protected:
      return "protected";
    case Standing::Denied:
      return "denied";
    case Standing::NoRule:
      return "no_rule";
  }
  return "";
}

bj::object holder_json(PathHolder const& holder) {
  bj::object object{{"pod_name", holder.pod_name},
                    {"pod_id", holder.pod_id},
                    {"state", state_name(holder.starting)},
                    {"pid", holder.pid},
                    {"since_ms", holder.since_ms},
                    {"task", text::to_utf8(holder.task)},
                    {"standing", standing_name(holder.standing)},
                    {"rule", rule_json(holder.rule)}};
  object["lent_to"] = holder.lent_to.empty() ? bj::value(nullptr) : bj::value(holder.lent_to);
  object["denied_by"] = rule_json(holder.denied_by);
  object["may_read"] = holder.may_read;
  return object;
}

template <class Item, class ToJson>
bj::array list_json(std::vector<Item> const& items, ToJson to_json) {
  bj::array list;
  for (size_t i = 0; i < items.size() && i < kShownInJson; ++i) list.push_back(to_json(items[i]));
  return list;
}

}  // namespace

std::string scope_report_text(ScopeReport const& report, int64_t now_ms, size_t width) {
  std::string result;
  if (report.asked != report.path)
    result = safe_path(report.asked) + " leads to " + safe_path(report.path) + "\n";
  return result + headline(report, now_ms, width) + holder_lines(report, width) +
         reader_lines(report, width) + part_lines(report, width);
}

std::string scope_report_json(ScopeReport const& report) {
  bj::object object{{"path", text::to_utf8(report.path)}, {"asked", text::to_utf8(report.asked)}};
  object["state"] = report.holders.empty() ? "free" : report.writer() == nullptr ? "denied" : "written";
  object["writer"] = report.writer() == nullptr ? bj::value(nullptr) : bj::value(report.writer()->pod_name);
  object["holders"] = list_json(report.holders, holder_json);
  object["readers"] = list_json(report.readers, [](PathReader const& reader) {
    return bj::object{{"pod_name", reader.pod_name},
                      {"pod_id", reader.pod_id},
                      {"state", state_name(reader.starting)},
                      {"rule", rule_json(reader.rule)}};
  });
  object["parts"] = list_json(report.parts, [](PathPart const& part) {
    return bj::object{{"path", text::to_utf8(part.path)},
                      {"pod_name", part.pod_name},
                      {"pod_id", part.pod_id},
                      {"state", state_name(part.starting)},
                      {"rule", rule_json(part.rule)}};
  });
  object["readers_total"] = report.readers.size();
  object["parts_total"] = report.parts.size();
  return json::dump_pretty(object) + "\n";
}

}  // namespace insomnia::cli
