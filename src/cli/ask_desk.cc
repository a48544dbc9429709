#include "cli/ask_desk.hh"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>

#include "base/json.hh"
#include "base/text.hh"
#include "cli/output.hh"

namespace insomnia::cli {
namespace {

struct Typed {
  bool allow = false;
  bool remember = false;
};

std::optional<Typed> typed_answer(std::string_view line) {
  std::string word(text::trim(line));
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (word == "y" || word == "yes") return Typed{true, false};
  if (word == "a" || word == "always") return Typed{true, true};
  if (word == "n" || word == "no") return Typed{false, false};
  if (word == "d" || word == "never") return Typed{false, true};
  return std::nullopt;
}

/// What "always" stands for: the tool and all that the answer is remembered for.
std::string meaning_of(wire::PermissionRequest const& request) {
  std::string meaning = request.tool;
  for (auto const& covered : request.remembered) meaning += '\n' + covered;
  return meaning;
}

std::string indented(std::string_view text, std::string_view indent) {
  std::string result;
  for (auto line : text::split(text, '\n')) result += std::string(indent) + exact_line(line) + "\n";
  return result;
}

/// Everything that the call says, one argument after the other.
std::string all_arguments(wire::PermissionRequest const& request) {
  std::string result;
  auto arguments = json::parse_object(request.arguments);
  if (request.arguments_size > request.arguments.size() || !arguments) {
    result = indented(request.arguments, "    ");
    if (request.arguments_size > request.arguments.size())
      result += "    (only the first " + std::to_string(request.arguments.size()) + " of " + std::to_string(request.arguments_size) + " bytes are shown)\n";
    return result;
  }
  bool one = arguments->size() == 1;
  for (auto const& argument : *arguments) {
    auto const* string = argument.value().if_string();
    std::string value = string != nullptr ? std::string(*string) : json::dump(argument.value());
    std::string name = safe_line(std::string_view(argument.key()), 100);
    if (one) result += indented(value, "    ");
    else if (value.find('\n') == std::string::npos) result += "    " + name + ": " + exact_line(value) + "\n";
    else result += "    " + name + ":\n" + indented(value, "      ");
  }
  return result;
}

std::string joined(std::vector<std::string> const& parts, std::string_view between) {
  std::string result;
  for (auto const& part : parts) result += (result.empty() ? "" : std::string(between)) + safe_line(part, 400);
  return result;
}

}  // namespace

void AskDesk::on_event(client::PodOrigin const& origin, wire::Event const& event) {
  if (auto const* snapshot = std::get_if<wire::SnapshotEvent>(&event.body)) {
    for (auto const& request : snapshot->permission_requests) asked(origin.pod_name, request);
  } else if (auto const* request = std::get_if<wire::PermissionRequestEvent>(&event.body)) {
    asked(origin.pod_name, request->request);
  } else if (auto const* end = std::get_if<wire::PermissionClosedEvent>(&event.body)) {
    closed(end->closed);
  }
}

void AskDesk::asked(std::string const& from, wire::PermissionRequest const& request) {
  if (seen_.insert(request.ask).second) take({from, request});
}

void AskDesk::take(Asked asked) {
  auto before = always_.find(meaning_of(asked.request));
  if (mode_ == AskMode::Allow) return answer(asked, true, false);
  if (mode_ == AskMode::Deny) return answer(asked, false, false);
  if (mode_ == AskMode::Terminal && before != always_.end()) return answer(asked, before->second, true);
  queue_.push_back(std::move(asked));
  show_next();
}

void AskDesk::answer(Asked const& asked, bool allow, bool remember) { host_.answer(asked.from, {asked.request.ask, allow, remember}); }

void AskDesk::closed(wire::PermissionClosed const& closed) {
  auto it = std::find_if(queue_.begin(), queue_.end(), [&](Asked const& asked) { return asked.request.ask == closed.ask; });
  if (it == queue_.end()) return;
  bool shown = closed.ask == shown_;
  queue_.erase(it);
  if (shown) host_.show("(this needs no answer any more: " + closed_text(closed) + ")\n");
  show_next();
}

bool AskDesk::on_line(std::string_view line) {
  if (queue_.empty()) return false;
  auto typed = typed_answer(line);
  if (!typed) return false;
  Asked asked = std::move(queue_.front());
  queue_.pop_front();
  if (typed->remember) always_[meaning_of(asked.request)] = typed->allow;
  answer(asked, typed->allow, typed->remember);
  if (mode_ == AskMode::Terminal && typed->remember) {
    // Others that wait may be the same.
    for (auto waiting = std::exchange(queue_, {}); auto& other : waiting) {
      if (always_.contains(meaning_of(other.request))) answer(other, typed->allow, true);
      else queue_.push_back(std::move(other));
    }
  }
  show_next();
  return true;
}

void AskDesk::set_mode(AskMode mode) {
  mode_ = mode;
  shown_.clear();
  if (mode != AskMode::Terminal) host_.listen(false);
  for (auto waiting = std::exchange(queue_, {}); auto& asked : waiting) take(std::move(asked));
}

void AskDesk::show_next() {
  if (mode_ != AskMode::Terminal) return;
  std::string next = queue_.empty() ? "" : queue_.front().request.ask;
  if (next == shown_) return;
  shown_ = next;
  if (!next.empty()) host_.show(question_text(queue_.front().request));
  host_.listen(!next.empty());
}

std::string question_text(wire::PermissionRequest const& request) {
  std::string text = "? " + safe_line(request.pod_name, 64) + " asks to use " + safe_line(request.tool, 64) + ":\n" + all_arguments(request);
  if (!request.reasons.empty()) text += "  because of " + joined(request.reasons, "; ") + "\n";
  if (!request.remembered.empty()) text += "  always and never hold for " + joined(request.remembered, ", ") + "\n";
  return text + "  y: yes  a: always in this session  n: no  d: never in this session\n";
}

std::string closed_text(wire::PermissionClosed const& closed) {
  if (closed.allow) return closed.by == "remembered" ? "allowed by an earlier answer" : "allowed";
  if (closed.by == "deadline") return "not allowed: nobody answered in time";
  if (closed.by == "unattended") return "not allowed: nobody was there to answer";
  if (closed.by == "cancelled") return "not allowed: the run was stopped";
  if (closed.by == "gone") return "not allowed: the Pod has ended";
  if (closed.by == "remembered") return "not allowed by an earlier answer";
  return "not allowed";
}

}  // namespace insomnia::cli
