#include "manifest/permission.hh"

#include <algorithm>
#include <boost/json.hpp>
#include <limits>

#include "base/io.hh"
#include "base/json.hh"
#include "base/sha256.hh"
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

std::string refusal(std::string_view tool, std::string const& by) {
  return "permission denied: tool `" + std::string(tool) + "` arguments matched the manifest permission policy (" + by +
         "). Do it another way that the policy allows, or report that you could not.";
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
  std::string exact;                    ///< what tells it from other calls, for an answer that is remembered
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
  // Words alone don't say where a command writes, or with which variables it runs: an answer is for the text as it is written.
  std::string whole(command);
  for (auto const& simple : *commands) {
    std::string text = joined(simple.words);
    subjects.push_back({{text}, {text, without_directory(simple.words)}, for_people(text), whole});
    for (auto const& wrapper : simple.wrappers) {
      std::string around = joined(wrapper);
      subjects.push_back({{around}, {around, without_directory(wrapper)}, for_people(around), whole, true});
    }
  }
  subjects.push_back({{std::string(command)}, {std::string(command)}, "", whole, true});
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
      Subject subject{ways, ways, "", ways.front()};
      subject.refused_by.push_back(path);
      return std::vector{subject};
    }
  }
  if (object != nullptr && (is("Glob") || is("Grep"))) {
    std::string path = string_in(*object, "path");
    auto ways = ways_to_write(path.empty() ? cwd : path, cwd);
    Subject subject{ways, ways, "", ways.front()};
    // A pattern of Glob can lead elsewhere.
    std::string pattern = is("Glob") ? string_in(*object, "pattern") : "";
    if (pattern.starts_with('/') || pattern.find("..") != std::string::npos) {
      subject.allowed_by.clear();
      for (auto const& way : ways_to_write(pattern, path.empty() ? cwd : path)) subject.refused_by.push_back(way);
      subject.exact += " " + pattern;
    }
    return std::vector{subject};
  }
  std::string target = permission_target(arguments_json);
  return std::vector{Subject{{target}, {target}, "", arguments ? json::dump(sorted(*arguments)) : target}};
}

std::string name_of_rule(size_t index, PermissionRule const& rule) {
  return "rule " + std::to_string(index + 1) + ", pattern `" + text::one_line(rule.pattern, 80) + "`";
}

struct Verdict {
  PermissionAction action = PermissionAction::Allow;
  std::string by;
  std::string pattern;  ///< of the rule; "" without one, and where the rule speaks of every call
};

Verdict verdict_of(size_t index, PermissionRule const& rule) {
  bool any = rule.pattern.find_first_not_of('*') == std::string::npos;
  return {rule.action, name_of_rule(index, rule), any ? "" : rule.pattern};
}

Verdict judge(Permissions const& permissions, std::string_view tool, Subject const& subject) {
  for (size_t i = 0; i < permissions.rule.size(); ++i) {
    auto const& rule = permissions.rule[i];
    if (same_name(rule.tool, tool) && describes(rule, subject)) return verdict_of(i, rule);
  }
  if (subject.by_rules_alone) return {};
  return {permissions.default_action.value_or(PermissionAction::Deny), "default_action", ""};
}

/// A text that is not understood: what is said of every text counts; else somebody has to look, where any rule could refuse it.
Verdict judge_unknown(Permissions const& permissions, std::string_view tool, std::string_view arguments_json) {
  Verdict worst;
  std::string target = permission_target(arguments_json);
  for (size_t i = 0; i < permissions.rule.size(); ++i) {
    auto const& rule = permissions.rule[i];
    if (!same_name(rule.tool, tool)) continue;
    if (rule.pattern == "*") return strictness(rule.action) > strictness(worst.action) ? verdict_of(i, rule) : worst;
    if (rule.action == PermissionAction::Deny && wildcard_match(rule.pattern, target)) return verdict_of(i, rule);
    if (rule.action != PermissionAction::Allow) worst = {PermissionAction::Ask, "the command is written in a way that can't be taken apart", ""};
  }
  auto fallback = permissions.default_action.value_or(PermissionAction::Deny);
  return strictness(fallback) > strictness(worst.action) ? Verdict{fallback, "default_action", ""} : worst;
}

std::string lower(std::string_view name) {
  std::string result(name);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

PermissionQuestion question(std::string_view tool, Verdict const& verdict, std::string const& exact) {
  if (!verdict.pattern.empty()) {
    return {"rule:" + lower(tool) + ":" + verdict.pattern, verdict.by, "all calls of `" + std::string(tool) + "` like `" + text::one_line(verdict.pattern, 80) + "`"};
  }
  std::string shown = text::one_line(exact, 160);
  std::string covers = "`" + std::string(tool) + "` with exactly `" + shown + "`";
  // Two that look the same are told apart: clients remember by these words.
  if (shown != exact) covers += " (" + sha256_hex(exact).substr(0, 32) + ")";
  return {"call:" + lower(tool) + ":" + exact, verdict.by, std::move(covers)};
}

void add_question(std::vector<PermissionQuestion>& questions, PermissionQuestion question) {
  bool known = std::any_of(questions.begin(), questions.end(), [&](auto const& other) { return other.key == question.key; });
  if (!known) questions.push_back(std::move(question));
}

}  // namespace

PermissionDecision decide(Permissions const& permissions, std::string_view tool, std::string_view arguments_json, std::string_view cwd) {
  PermissionDecision decision;
  auto take = [&](Verdict verdict, std::string const& exact) {
    if (verdict.action == PermissionAction::Ask) add_question(decision.questions, question(tool, verdict, exact));
    if (strictness(verdict.action) <= strictness(decision.action)) return;
    decision.action = verdict.action;
    if (verdict.action == PermissionAction::Deny) decision.refusal = refusal(tool, verdict.by);
  };
  if (auto subjects = subjects_of(tool, arguments_json, cwd)) {
    for (auto const& subject : *subjects) {
      Verdict verdict = judge(permissions, tool, subject);
      if (!subject.shown.empty()) verdict.by += ", for `" + subject.shown + "`";
      take(std::move(verdict), subject.exact);
    }
  } else {
    take(judge_unknown(permissions, tool, arguments_json), permission_target(arguments_json));
  }
  if (decision.action == PermissionAction::Deny) decision.questions.clear();
  return decision;
}

PermissionDecision decide(std::vector<Permissions> const& policies, std::string_view tool, std::string_view arguments_json, std::string_view cwd) {
  PermissionDecision together;
  for (auto const& policy : policies) {
    auto decision = decide(policy, tool, arguments_json, cwd);
    if (decision.action == PermissionAction::Deny) return decision;
    if (decision.action == PermissionAction::Ask) together.action = decision.action;
    for (auto& question : decision.questions) add_question(together.questions, std::move(question));
  }
  return together;
}

AskLimits ask_limits(std::vector<Permissions> const& policies) {
  constexpr uint64_t kMaxAskSecs = 365 * 86'400;
  auto shortest = [&](std::optional<uint64_t> Permissions::* member, uint64_t fallback) {
    std::optional<uint64_t> result;
    for (auto const& policy : policies) {
      if (policy.*member) result = std::min(result.value_or(kMaxAskSecs), *(policy.*member));
    }
    return result.value_or(fallback);
  };
  return {shortest(&Permissions::ask_timeout_secs, AskLimits().timeout_secs), shortest(&Permissions::ask_unattended_secs, AskLimits().unattended_secs)};
}

std::string not_given(std::string_view tool, std::vector<PermissionQuestion> const& questions, std::string_view why) {
  std::string reasons;
  for (auto const& question : questions) reasons += (reasons.empty() ? "" : "; ") + question.reason;
  return "permission not given: tool `" + std::string(tool) + "` requires approval (" + text::one_line(reasons, 600) + "), and " + std::string(why) +
         ". Do it another way, or report that you could not.";
}

}  // namespace insomnia::manifest
