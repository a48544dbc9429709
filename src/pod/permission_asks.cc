#include "pod/permission_asks.hh"

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hh"
#include "base/log.hh"
#include "base/sha256.hh"
#include "base/text.hh"
#include "base/uuid.hh"

namespace insomnia::pod {
namespace {

constexpr char kDomain[] = "permission.remembered";
constexpr size_t kMaxReasons = 8;
constexpr uint64_t kMaxUnattendedMs = 365ull * 86'400'000;

std::vector<std::string> first_ones(std::vector<manifest::PermissionQuestion> const& questions, std::string manifest::PermissionQuestion::* member) {
  std::vector<std::string> result;
  for (auto const& question : questions) {
    if (result.size() == kMaxReasons) {
      // Clients remember by these words, so those that are left out count in them too.
      std::string all;
      for (auto const& each : questions) all += each.*member + '\n';
      result.push_back("and " + std::to_string(questions.size() - kMaxReasons) + " more (" + sha256_hex(all).substr(0, 32) + ")");
      break;
    }
    result.push_back(text::one_line(question.*member, 400));
  }
  return result;
}

std::string why_not(std::string const& by, manifest::AskLimits const& limits) {
  if (by == "client") return "the answer is no";
  if (by == "remembered") return "the answer to such calls is no for the whole session";
  if (by == "deadline") return "nobody answered within " + std::to_string(limits.timeout_secs) + " s";
  if (by == "unattended") return "nobody is there who could be asked";
  return "the run was stopped before anybody answered";
}

}  // namespace

PermissionAsks::PermissionAsks(loop::EventLoop& loop, Self self, RememberedAnswers remembered, Host host)
    : loop_(loop), self_(std::move(self)), host_(std::move(host)), remembered_(std::move(remembered)), timer_(loop, [this] { tick(); }) {}

PermissionAsks::~PermissionAsks() = default;

// ---- The Pod's own

void PermissionAsks::ask(Call const& call, std::vector<manifest::PermissionQuestion> questions, manifest::AskLimits const& limits, std::function<void(Outcome)> done) {
  if (auto before = known(questions)) return done({*before, *before ? "" : why_not("remembered", limits)});
  Ask ask;
  int64_t wait_ms = static_cast<int64_t>(limits.timeout_secs) * 1000;
  ask.request = {.ask = uuid7(loop_.clock()),
                 .pod_name = self_.pod_name,
                 .pod_id = self_.pod_id,
                 .call_id = call.call_id,
                 .tool = call.tool,
                 .arguments = text::to_utf8(text::prefix(call.arguments, wire::kMaxAskedArguments)),
                 .arguments_size = call.arguments.size(),
                 .reasons = first_ones(questions, &manifest::PermissionQuestion::reason),
                 .remembered = first_ones(questions, &manifest::PermissionQuestion::covers),
                 .deadline_ms = loop_.clock().wall_ms() + wait_ms,
                 .unattended_ms = limits.unattended_secs * 1000};
  ask.call = call.id;
  ask.questions = std::move(questions);
  ask.limits = limits;
  ask.done = std::move(done);
  ask.deadline = now() + wait_ms;
  Ask& kept = asks_[ask.request.ask] = std::move(ask);
  host_.broadcast(wire::PermissionRequestEvent{kept.request});
  route(kept);
  set_timer();
}

bool PermissionAsks::cancel(uint64_t call) {
  auto it = std::find_if(asks_.begin(), asks_.end(), [&](auto const& entry) { return entry.second.own() && entry.second.call == call; });
  if (it == asks_.end()) return false;
  settle(it, false, "cancelled");
  return true;
}

void PermissionAsks::cancel_all() {
  for (;;) {
    auto it = std::find_if(asks_.begin(), asks_.end(), [](auto const& entry) { return entry.second.own(); });
    if (it == asks_.end()) return;
    settle(it, false, "cancelled");
  }
}

/// What earlier answers say: one no is a no, and a yes has to hold for everything that is asked.
std::optional<bool> PermissionAsks::known(std::vector<manifest::PermissionQuestion> const& questions) const {
  bool all = true;
  for (auto const& question : questions) {
    auto it = remembered_.find(question.key);
    if (it == remembered_.end()) all = false;
    else if (!it->second) return false;
  }
  return all ? std::optional(true) : std::nullopt;
}

void PermissionAsks::settle(Asks::iterator it, bool allow, std::string by) {
  std::string why = allow ? "" : why_not(by, it->second.limits);
  auto done = std::move(it->second.done);
  close(it, {it->first, allow, std::move(by)});
  done({allow, std::move(why)});
}

/// The question goes.
void PermissionAsks::close(Asks::iterator it, wire::PermissionClosed closed) {
  bool told = it->second.told_parent;
  asks_.erase(it);
  set_timer();
  host_.broadcast(wire::PermissionClosedEvent{closed});
  if (told) host_.tell_parent(wire::PermissionSettled{self_.pod_name, "", std::move(closed)});
}

// ---- Answers

Result<void> PermissionAsks::answer(wire::PermissionAnswer const& answer) {
  auto it = asks_.find(answer.ask);
  if (it == asks_.end()) return fail(Code::NotFound, "no question `" + text::one_line(answer.ask, 64) + "` is open here: it was answered, or its time is over");
  if (it->second.answered) return fail(Code::Conflict, "somebody has answered this question already");
  give(it->second, answer, "client");
  return {};
}

void PermissionAsks::parent_answered(wire::PermissionAnswered const& answered) {
  auto it = asks_.find(answered.answer.ask);
  if (it == asks_.end() || it->second.answered) return;
  // Somebody has come here meanwhile.
  if (answered.by != "client" && host_.attended()) return;
  give(it->second, answered.answer, answered.by == "client" ? "client" : "unattended");
}

void PermissionAsks::give(Ask& ask, wire::PermissionAnswer answer, std::string by) {
  if (!ask.own()) {
    ask.answered = wire::PermissionAnswered{self_.pod_name, std::move(answer), std::move(by)};
    return host_.tell_child(ask.child, *ask.answered);
  }
  if (answer.remember) {
    for (auto const& question : ask.questions) remembered_[question.key] = unlogged_[question.key] = answer.allow;
  }
  settle(asks_.find(answer.ask), answer.allow, std::move(by));
  if (answer.remember) settle_known();
}

/// Others that wait may be answered with it. Each end can do anything, so the search begins anew.
void PermissionAsks::settle_known() {
  for (;;) {
    auto it = std::find_if(asks_.begin(), asks_.end(), [&](auto const& entry) { return entry.second.own() && known(entry.second.questions); });
    if (it == asks_.end()) return;
    settle(it, *known(it->second.questions), "remembered");
  }
}

std::optional<wire::LogRecord> PermissionAsks::take_unlogged() {
  if (unlogged_.empty()) return std::nullopt;
  boost::json::array answers;
  for (auto const& [key, allow] : unlogged_) answers.push_back({{"key", text::to_utf8(key)}, {"decision", allow ? "allow" : "deny"}});
  unlogged_.clear();
  return wire::Extension{kDomain, json::dump(boost::json::object{{"answers", std::move(answers)}})};
}

RememberedAnswers replay_remembered(std::vector<wire::Extension> const& extensions) {
  RememberedAnswers result;
  for (auto const& extension : extensions) {
    if (extension.domain != kDomain) continue;
    auto object = json::parse_object(extension.payload);
    if (!object) continue;
    json::Reader reader(*object);
    auto const* answers = reader.array("answers");
    if (answers == nullptr) continue;
    for (auto const& answer : *answers) {
      if (!answer.is_object()) continue;
      json::Reader entry(answer.as_object());
      std::string key = entry.string("key"), decision = entry.string("decision");
      // What is not clearly a yes is a no.
      if (entry.ok()) result[key] = decision == "allow";
    }
  }
  return result;
}

// ---- Pods below

void PermissionAsks::child_asked(std::string const& child, wire::PermissionAsked const& asked) {
  auto it = asks_.find(asked.request.ask);
  if (it != asks_.end()) {
    Ask& known_one = it->second;
    if (known_one.own() || known_one.child != child) return;
    known_one.last_told = now();
    if (known_one.answered && known_one.answered->by == "unattended" && host_.attended()) known_one.answered.reset();
    if (known_one.answered) host_.tell_child(child, *known_one.answered);
    else route(known_one);
    return set_timer();
  }
  auto forwarded = std::count_if(asks_.begin(), asks_.end(), [](auto const& entry) { return !entry.second.own(); });
  if (static_cast<size_t>(forwarded) >= kMaxForwarded) {
    log::warn("a question of Pod `" + text::one_line(asked.request.pod_name, 64) + "` waits until others are answered");  // it is told again
    return;
  }
  Ask& ask = asks_[asked.request.ask];
  ask.request = asked.request;
  ask.request.unattended_ms = std::min<uint64_t>(ask.request.unattended_ms, kMaxUnattendedMs);
  ask.child = child;
  ask.last_told = now();
  host_.broadcast(wire::PermissionRequestEvent{ask.request});
  route(ask);
  set_timer();
}

void PermissionAsks::child_settled(std::string const& child, wire::PermissionSettled const& settled) {
  auto it = asks_.find(settled.closed.ask);
  if (it == asks_.end() || it->second.own() || it->second.child != child) return;
  close(it, settled.closed);
}

void PermissionAsks::child_ended(std::string const& child) {
  for (auto it = asks_.begin(); it != asks_.end();) {
    auto here = it++;
    if (!here->second.own() && here->second.child == child) close(here, {here->first, false, "gone"});
  }
}

// ---- Who is told, and for how long

std::vector<wire::PermissionRequest> PermissionAsks::open() const {
  std::vector<wire::PermissionRequest> result;
  for (auto const& [id, ask] : asks_) {
    if (!ask.answered) result.push_back(ask.request);
  }
  return result;
}

void PermissionAsks::attendance_changed() {
  for (auto& [id, ask] : asks_) {
    if (!ask.answered) route(ask);
  }
  set_timer();
}

/// Clients know of it already. Without anybody among them who answers it goes up; without anybody above, time runs.
void PermissionAsks::route(Ask& ask) {
  bool attended = host_.attended();
  if (!attended) {
    ask.tell_again = now() + kTellAgainMs;
    if (host_.tell_parent(wire::PermissionAsked{self_.pod_name, "", ask.request})) {
      ask.told_parent = true;
      ask.unattended_since.reset();
      return;
    }
  }
  if (attended) ask.unattended_since.reset();
  else if (!ask.unattended_since) ask.unattended_since = now();
}

void PermissionAsks::tick() {
  // Each end can do anything, so the search begins anew.
  for (bool changed = true; changed;) {
    changed = false;
    for (auto it = asks_.begin(); it != asks_.end() && !changed; ++it) {
      Ask& ask = it->second;
      bool unattended = ask.unattended_since && now() - *ask.unattended_since >= static_cast<int64_t>(ask.request.unattended_ms);
      if (ask.own() && (unattended || ask.deadline <= now())) {
        changed = true;
        settle(it, false, unattended ? "unattended" : "deadline");
      } else if (!ask.own() && now() - ask.last_told >= kGoneMs) {
        changed = true;
        close(it, {it->first, false, "gone"});
      } else if (unattended && !ask.answered) {
        give(ask, {it->first, false, false}, "unattended");
      } else if (ask.own() && !host_.attended() && ask.tell_again <= now()) {
        route(ask);
      }
    }
  }
  set_timer();
}

void PermissionAsks::set_timer() {
  std::optional<int64_t> due;
  auto at = [&](int64_t when) { due = std::min(due.value_or(when), when); };
  for (auto const& [id, ask] : asks_) {
    at(ask.own() ? ask.deadline : ask.last_told + kGoneMs);
    if (ask.answered) continue;
    if (ask.unattended_since) at(*ask.unattended_since + static_cast<int64_t>(ask.request.unattended_ms));
    if (ask.own() && !host_.attended()) at(ask.tell_again);
  }
  if (due) timer_.start(std::max<int64_t>(*due - now(), 0));
  else timer_.cancel();
}

}  // namespace insomnia::pod
