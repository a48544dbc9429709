#include "cli/tool_label.hh"

#include <array>
#include <boost/json.hpp>

#include "base/json.hh"
#include "cli/output.hh"

namespace insomnia::cli {
namespace {

constexpr size_t kLongest = 400;

/// What is worth showing of a tool's arguments: the main one, and one that is put after it.
struct Shown {
  std::string_view tool, main, before_second, second;
};
constexpr std::array<Shown, 15> kShown{{{"Read", "file_path", "", ""},
                                        {"Write", "file_path", "", ""},
                                        {"Edit", "file_path", "", ""},
                                        {"Glob", "pattern", " in ", "path"},
                                        {"Grep", "pattern", " in ", "path"},
                                        {"Bash", "command", "", ""},
                                        {"SpawnPod", "name", ": ", "task"},
                                        {"SendToPod", "name", ": ", "message"},
                                        {"ReadPodOutput", "name", "", ""},
                                        {"StopPod", "name", "", ""},
                                        {"RestorePod", "name", "", ""},
                                        {"TaskCreate", "subject", "", ""},
                                        {"TaskUpdate", "taskid", " ", "status"},
                                        {"WebFetch", "url", "", ""},
                                        {"WebSearch", "query", "", ""}}};

std::string plain(boost::json::value const* value) {
  if (value == nullptr || value->is_null()) return "";
  if (auto const* text = value->if_string()) return std::string(*text);
  return json::dump(*value);
}

std::string relative(std::string text, std::string_view cwd) {
  if (cwd.size() > 1 && text.starts_with(cwd) && text.size() > cwd.size() && text[cwd.size()] == '/')
    return text.substr(cwd.size() + 1);
  return text;
}

}  // namespace

std::string tool_label(std::string_view tool, std::string_view arguments_json, std::string_view cwd) {
  std::string label(tool);
  auto arguments = json::parse_object(arguments_json);
  if (!arguments) return safe_line(label, kLongest);
  for (auto const& shown : kShown) {
    if (shown.tool != tool) continue;
    std::string main = relative(plain(arguments->if_contains(shown.main)), cwd);
    if (!main.empty()) label += " " + main;
    std::string second =
        shown.second.empty() ? "" : relative(plain(arguments->if_contains(shown.second)), cwd);
    if (!second.empty()) label += std::string(shown.before_second) + second;
    return safe_line(label, kLongest);
  }
  if (!arguments->empty()) label += " " + json::dump(*arguments);
  return safe_line(label, kLongest);
}

}  // namespace insomnia::cli
