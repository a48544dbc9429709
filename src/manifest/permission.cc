#include "manifest/permission.hh"

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"

namespace insomnia::manifest {
namespace bj = boost::json;

namespace {

bool same_name(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

/// Where the character that starts at `at` ends; a malformed one is one byte.
size_t next_character(std::string_view text, size_t at) {
  size_t next = at + 1;
  while (next < text.size() && next - at < 4 && (static_cast<unsigned char>(text[next]) & 0xC0) == 0x80)
    ++next;
  return next;
}

bj::value sorted(bj::value const& value) {
  if (auto const* list = value.if_array()) {
    bj::array out;
    for (auto const& member : *list) out.push_back(sorted(member));
    return out;
  }
  auto const* object = value.if_object();
  if (object == nullptr) return value;
  std::vector<std::string_view> keys;
  for (auto const& member : *object) keys.push_back(member.key());
  std::sort(keys.begin(), keys.end());
  bj::object out;
  for (auto key : keys) out[key] = sorted(object->at(key));
  return out;
}

std::string refusal(PermissionAction action, std::string_view tool, std::string const& by) {
  std::string name = "`" + std::string(tool) + "`";
  if (action == PermissionAction::Deny) {
    return "permission denied: tool " + name + " arguments matched the manifest permission policy (" + by +
           "). Do it another way that the policy allows, or report that you could not.";
  }
  if (action == PermissionAction::Ask) {
    return "permission ask unsupported: tool " + name + " requires approval (" + by +
           "), but nobody can be asked here; denied fail-closed. Do it another way, or report that you could "
           "not.";
  }
  return "";
}

}  // namespace

bool wildcard_match(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == '?') {
      ++p;
      t = next_character(text, t);
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      // Only the last star is tried again: an earlier one could take no more than it has without loss.
      p = star + 1;
      resume = next_character(text, resume);
      t = resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string permission_target(std::string_view arguments_json) {
  auto arguments = json::parse(arguments_json);
  if (!arguments) return std::string(arguments_json);
  if (auto const* object = arguments->if_object()) {
    for (std::string_view key : {"command", "file_path", "path", "pattern", "query", "url"}) {
      auto const* value = object->if_contains(key);
      if (value != nullptr && value->is_string()) return std::string(value->as_string());
    }
  }
  return json::dump(sorted(*arguments));
}

PermissionDecision decide(Permissions const& permissions, std::string_view tool,
                          std::string_view arguments_json) {
  std::string target = permission_target(arguments_json);
  for (size_t i = 0; i < permissions.rule.size(); ++i) {
    auto const& rule = permissions.rule[i];
    if (!same_name(rule.tool, tool) || !wildcard_match(rule.pattern, target)) continue;
    std::string by = "rule " + std::to_string(i + 1) + ", pattern `" + text::one_line(rule.pattern, 80) + "`";
    return {rule.action, refusal(rule.action, tool, by)};
  }
  PermissionAction action = permissions.default_action.value_or(PermissionAction::Deny);
  return {action, refusal(action, tool, "default_action")};
}

}  // namespace insomnia::manifest
