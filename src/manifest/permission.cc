#include "manifest/permission.hh"

#include <algorithm>
#include <boost/json.hpp>

#include "base/io.hh"
#include "base/json.hh"
#include "base/text.hh"
#include "manifest/shell_words.hh"

namespace insomnia::manifest {
namespace bj = boost::json;

namespace {

bool same_name(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

/// Where the character that starts at `at` ends; a malformed one is one byte.
size_t next_character(std::string_view text, size_t at) {
  size_t next = at + 1;
  while (next < text.size() && next - at < 4 && (static_cast<unsigned char>(text[next]) & 0xC0) == 0x80) ++next;
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

int strictness(PermissionAction action) { return action == PermissionAction::Allow ? 0 : action == PermissionAction::Ask ? 1 : 2; }

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
    } else if (p < pattern.size() && pattern[p] == '?' && text[t] != kUnknown) {
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

bool wildcard_may_match(std::string_view pattern, std::string_view text) {
  if (text.find(kUnknown) == std::string_view::npos) return wildcard_match(pattern, text);
  // possible[p]: the text so far can be described by the first p characters of the pattern.
  std::vector<bool> possible(pattern.size() + 1), next;
  auto close = [&](std::vector<bool>& row) {
    for (size_t p = 0; p < pattern.size(); ++p) {
      if (row[p] && pattern[p] == '*') row[p + 1] = true;
    }
  };
  possible[0] = true;
  close(possible);
  for (size_t t = 0; t < text.size();) {
    next.assign(pattern.size() + 1, false);
    if (text[t] == kUnknown) {
      // Any text: whatever of the pattern comes from here on.
      bool any = false;
      for (size_t p = 0; p <= pattern.size(); ++p) next[p] = any = any || possible[p];
      ++t;
    } else {
      size_t end = next_character(text, t);
      for (size_t p = 0; p < pattern.size(); ++p) {
        if (!possible[p]) continue;
        if (pattern[p] == '*') next[p] = true;
        else if (pattern[p] == '?') next[p + 1] = true;
        else if (pattern.substr(p, end - t) == text.substr(t, end - t)) next[p + (end - t)] = true;
      }
      t = end;
    }
    close(next);
    possible.swap(next);
  }
  return possible[pattern.size()];
}

namespace {

/// One thing that is decided by itself.
struct Subject {
  std::vector<std::string> allowed_by;  ///< an `allow` describes one of these for sure
  std::vector<std::string> refused_by;  ///< a `deny` or `ask` may describe one of these
  std::string shown;                    ///< in the refusal; "": the call as a whole
  bool by_rules_alone = false;          ///< no default: something else says what is done here
};

bool describes(PermissionRule const& rule, Subject const& subject) {
  if (rule.action == PermissionAction::Allow) {
    return std::any_of(subject.allowed_by.begin(), subject.allowed_by.end(), [&](std::string const& text) { return wildcard_match(rule.pattern, text); });
  }
  return std::any_of(subject.refused_by.begin(), subject.refused_by.end(), [&](std::string const& text) { return wildcard_may_match(rule.pattern, text); });
}

std::string joined(std::vector<std::string> const& words) { return text::join(words, " "); }

/// The command by the name of its program alone.
std::string without_directory(std::vector<std::string> words) {
  words.front() = words.front().substr(words.front().rfind('/') + 1);
  return joined(words);
}

std::string for_people(std::string text) {
  std::replace(text.begin(), text.end(), kUnknown, '*');
  return text::one_line(text, 100);
}

/// Nothing when the text is not understood.
std::optional<std::vector<Subject>> subjects_of_command(std::string_view command) {
  auto commands = simple_commands(command);
  if (!commands) return std::nullopt;
  std::vector<Subject> subjects;
  for (auto const& simple : *commands) {
    std::string text = joined(simple.words);
    subjects.push_back({{text}, {text, without_directory(simple.words)}, for_people(text)});
    for (auto const& wrapper : simple.wrappers) {
      std::string around = joined(wrapper);
      subjects.push_back({{around}, {around, without_directory(wrapper)}, for_people(around), true});
    }
  }
  subjects.push_back({{std::string(command)}, {std::string(command)}, "", true});
  return subjects;
}

/// The path in the ways in which people write patterns.
std::vector<std::string> ways_to_write(std::string_view path, std::string_view cwd) {
  std::string absolute = io::absolute(path, cwd);
  std::vector<std::string> parts;
  for (auto part : text::split(absolute, '/')) {
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.emplace_back(part);
    }
  }
  std::string clean = "/" + text::join(parts, "/");
  std::vector<std::string> ways{clean};
  std::string base = cwd == "/" ? "/" : std::string(cwd) + "/";
  if (clean.starts_with(base)) ways.push_back(clean.substr(base.size()));
  if (clean == cwd) ways.emplace_back(".");
  return ways;
}

std::string string_in(bj::object const& arguments, std::string_view key) {
  auto const* value = arguments.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

std::optional<std::vector<Subject>> subjects_of(std::string_view tool, std::string_view arguments_json, std::string_view cwd) {
  auto arguments = json::parse(arguments_json);
  auto const* object = arguments ? arguments->if_object() : nullptr;
  auto is = [&](std::string_view name) { return same_name(tool, name); };
  if (object != nullptr && is("Bash")) {
    if (std::string command = string_in(*object, "command"); !command.empty()) return subjects_of_command(command);
  }
  if (object != nullptr && (is("Read") || is("Write") || is("Edit"))) {
    if (std::string path = string_in(*object, "file_path"); !path.empty()) {
      auto ways = ways_to_write(path, cwd);
      Subject subject{ways, ways, ""};
      subject.refused_by.push_back(path);
      return std::vector{subject};
    }
  }
  if (object != nullptr && (is("Glob") || is("Grep"))) {
    std::string path = string_in(*object, "path");
    auto ways = ways_to_write(path.empty() ? cwd : path, cwd);
    Subject subject{ways, ways, ""};
    // A pattern of Glob can lead elsewhere.
    std::string pattern = is("Glob") ? string_in(*object, "pattern") : "";
    if (pattern.starts_with('/') || pattern.find("..") != std::string::npos) {
      subject.allowed_by.clear();
      for (auto const& way : ways_to_write(pattern, path.empty() ? cwd : path)) subject.refused_by.push_back(way);
    }
    return std::vector{subject};
  }
  std::string target = permission_target(arguments_json);
  return std::vector{Subject{{target}, {target}, ""}};
}

std::string name_of_rule(size_t index, PermissionRule const& rule) {
  return "rule " + std::to_string(index + 1) + ", pattern `" + text::one_line(rule.pattern, 80) + "`";
}

struct Verdict {
  PermissionAction action = PermissionAction::Allow;
  std::string by;
};

Verdict judge(Permissions const& permissions, std::string_view tool, Subject const& subject) {
  for (size_t i = 0; i < permissions.rule.size(); ++i) {
    auto const& rule = permissions.rule[i];
    if (same_name(rule.tool, tool) && describes(rule, subject)) return {rule.action, name_of_rule(i, rule)};
  }
  if (subject.by_rules_alone) return {};
  return {permissions.default_action.value_or(PermissionAction::Deny), "default_action"};
}

/// A text that is not understood: what is said of every text counts; else somebody has to look, where any rule could refuse it.
Verdict judge_unknown(Permissions const& permissions, std::string_view tool, std::string_view arguments_json) {
  Verdict worst{PermissionAction::Allow, ""};
  std::string target = permission_target(arguments_json);
  for (size_t i = 0; i < permissions.rule.size(); ++i) {
    auto const& rule = permissions.rule[i];
    if (!same_name(rule.tool, tool)) continue;
    if (rule.pattern == "*") return strictness(rule.action) > strictness(worst.action) ? Verdict{rule.action, name_of_rule(i, rule)} : worst;
    if (rule.action == PermissionAction::Deny && wildcard_match(rule.pattern, target)) return {rule.action, name_of_rule(i, rule)};
    if (rule.action != PermissionAction::Allow) worst = {PermissionAction::Ask, "the command is written in a way that can't be taken apart"};
  }
  auto fallback = permissions.default_action.value_or(PermissionAction::Deny);
  return strictness(fallback) > strictness(worst.action) ? Verdict{fallback, "default_action"} : worst;
}

}  // namespace

PermissionDecision decide(Permissions const& permissions, std::string_view tool, std::string_view arguments_json, std::string_view cwd) {
  auto subjects = subjects_of(tool, arguments_json, cwd);
  Verdict worst;
  if (!subjects) {
    worst = judge_unknown(permissions, tool, arguments_json);
  } else {
    for (auto const& subject : *subjects) {
      Verdict verdict = judge(permissions, tool, subject);
      if (strictness(verdict.action) <= strictness(worst.action)) continue;
      if (!subject.shown.empty()) verdict.by += ", for `" + subject.shown + "`";
      worst = std::move(verdict);
    }
  }
  return {worst.action, refusal(worst.action, tool, worst.by)};
}

}  // namespace insomnia::manifest
