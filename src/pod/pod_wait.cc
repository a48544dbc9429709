#include "pod/pod_wait.hh"

#include <algorithm>

#include "base/text.hh"
#include "tools/input.hh"
#include "tools/schema.hh"

namespace insomnia::pod {
namespace {

constexpr int64_t kMaxWaitMs = 3'600'000;
/// The notification of the end brings more.
constexpr size_t kMaxAnswer = 2 << 10;
constexpr size_t kMaxMessage = 300;

constexpr std::string_view kNamesSchema =
    R"({"type":"array","items":{"type":"string"},"minItems":1,"description":"The children to wait for. Default: all that work."})";
constexpr std::string_view kModeSchema =
    R"({"type":"string","enum":["any","all"],"description":"Wait until one of them is done, or all. Default: all."})";

/// How a report speaks of the work.
struct WorkOf {
  std::string operator()(wire::TurnEnded const&) const { return "work done"; }
  std::string operator()(wire::Errored const& e) const { return "work not done: " + text::one_line(e.message, kMaxMessage); }
  std::string operator()(wire::LimitReachedEvent const&) const { return "work not done: it reached its turn limit"; }
  std::string operator()(wire::Interrupted const&) const { return "work not done: a person cancelled it"; }
  std::string operator()(wire::Crashed const& e) const { return "work not done: " + e.exit_status; }
  std::string operator()(auto const&) const { return "work not done"; }
};

/// Of the ends that have one.
struct AnswerOf {
  std::optional<std::string> operator()(auto const& e) const {
    if constexpr (requires { e.last_answer; }) return e.last_answer;
    return std::nullopt;
  }
};

std::string shortened(std::string const& answer) {
  std::string_view shown = text::prefix(answer, kMaxAnswer);
  std::string result(shown);
  if (shown.size() < answer.size()) {
    result += "\n[cut after 2 KiB of " + std::to_string(answer.size()) + " bytes; ReadPodOutput has the rest]";
  }
  return result;
}

}  // namespace

Result<WaitForPodsInput> decode_wait_for_pods(std::string_view arguments) {
  return tools::parse_input<WaitForPodsInput>("WaitForPods", arguments, [](json::Reader& reader, WaitForPodsInput& input) {
    if (reader.has("names")) {
      for (auto& name : reader.strings("names")) {
        if (std::find(input.names.begin(), input.names.end(), name) == input.names.end()) input.names.push_back(std::move(name));
      }
      if (input.names.empty()) reader.reject("names", "must name at least one Pod; leave it out to wait for all children that work");
    }
    std::string mode = reader.string_or("mode", "all");
    if (mode != "any" && mode != "all") reader.reject("mode", "must be `any` or `all`");
    input.any = mode == "any";
    input.timeout_ms = std::clamp<int64_t>(reader.optional_integer("timeout_ms").value_or(input.timeout_ms), 1, kMaxWaitMs);
  });
}

tools::Definition wait_for_pods_definition() {
  return {"WaitForPods",
          "Wait until Pods that you spawned have finished what they were given, or have ended. Tells of each its state, whether its work is "
          "done, and the last words of those that finished while you waited. A message to you ends the wait early. Better than asking "
          "ReadPodOutput again and again; with nothing else to do, ending your turn is as good.",
          tools::object_schema({
              {"names", kNamesSchema, "", false},
              {"mode", kModeSchema, "", false},
              {"timeout_ms", "integer", "At most so long, 1 to 3600000; default 600000.", false},
          }),
          tools::Place::Brain};
}

PodWaits::PodWaits(PodCore& core, Children& children) : core_(core), children_(children) {}

PodWaits::~PodWaits() { *alive_ = false; }

void PodWaits::start(uint64_t id, std::string_view arguments, Done done) {
  auto input = decode_wait_for_pods(arguments);
  auto pods = input ? watched(input->names) : std::unexpected(input.error());
  if (!pods) {
    done(tools::failed(pods.error()));
    return;
  }
  if (pods->empty()) {
    done({.summary = "no Pod that you spawned is at work", .content = std::nullopt, .is_error = false});
    return;
  }
  Wait& wait = waits_[id];
  wait.pods = *std::move(pods);
  wait.any = input->any;
  wait.done = std::move(done);
  if (is_over(wait)) {
    finish(id, "");
    return;
  }
  wait.deadline = std::make_unique<loop::Timer>(core_.loop, [this, id] { finish(id, "the time is up"); });
  wait.deadline->start(input->timeout_ms);
}

Result<std::vector<PodWaits::Watched>> PodWaits::watched(std::vector<std::string> const& names) {
  std::vector<Watched> pods;
  auto const& state = core_.state;
  if (names.empty()) {
    for (auto const& record : state.spawned_children) {
      Watched pod{record.pod_name, record.pod_id, record.instance_id, false, std::nullopt};
      if (!record.grandchild && at_work(pod)) pods.push_back(std::move(pod));
    }
    return pods;
  }
  for (auto const& name : names) {
    auto const* record = children_.find(name);
    if (record != nullptr && !record->grandchild) {
      pods.push_back({name, record->pod_id, record->instance_id, false, std::nullopt});
    } else {
      auto ended = std::find_if(state.reclaimed_children.rbegin(), state.reclaimed_children.rend(),
                                [&](auto const& child) { return child.pod_name == name; });
      if (ended == state.reclaimed_children.rend()) {
        return fail(Code::InvalidArgument, "no spawned pod named `" + name + "`; ListPods shows those that you can address");
      }
      pods.push_back({name, ended->pod_id, ended->instance_id, false, std::nullopt});
    }
    pods.back().was_done = !at_work(pods.back());
  }
  return pods;
}

void PodWaits::cancel(uint64_t id) {
  auto it = waits_.find(id);
  if (it == waits_.end()) return;
  auto done = std::move(it->second.done);
  waits_.erase(it);
  done(tools::failed({Code::Cancelled, "WaitForPods was cancelled; the Pods work on"}));
}

void PodWaits::end_all(std::string const& reason) {
  std::vector<uint64_t> ids;
  for (auto const& [id, wait] : waits_) ids.push_back(id);
  for (uint64_t id : ids) finish(id, reason);
}

void PodWaits::heard(std::string const& sender, wire::PodEvent const& event) {
  for (auto& [id, wait] : waits_) {
    for (auto& pod : wait.pods) {
      if (pod.pod_id == sender || pod.instance_id == sender) pod.end = event;
    }
  }
}

void PodWaits::look_again() {
  if (look_posted_ || waits_.empty()) return;
  look_posted_ = true;
  core_.loop.post([this, alive = alive_] {
    if (*alive) look();
  });
}

void PodWaits::look() {
  look_posted_ = false;
  std::vector<uint64_t> over;
  for (auto const& [id, wait] : waits_) {
    if (is_over(wait)) over.push_back(id);
  }
  for (uint64_t id : over) finish(id, "");
}

bool PodWaits::at_work(Watched const& pod) {
  auto const* record = children_.find_by_id(pod.pod_id);
  return record != nullptr && children_.is_living(pod.pod_id) && (record->work_open || record->state == "starting");
}

bool PodWaits::is_over(Wait const& wait) {
  auto is_done = [this](Watched const& pod) { return !at_work(pod); };
  return wait.any ? std::any_of(wait.pods.begin(), wait.pods.end(), is_done) : std::all_of(wait.pods.begin(), wait.pods.end(), is_done);
}

void PodWaits::finish(uint64_t id, std::string const& reason) {
  auto it = waits_.find(id);
  if (it == waits_.end()) return;
  Wait wait = std::move(it->second);
  waits_.erase(it);
  wait.done(answer(wait, reason));
}

tools::Output PodWaits::answer(Wait const& wait, std::string const& reason) {
  std::string still;
  std::string content;
  size_t done = 0;
  for (auto const& pod : wait.pods) {
    if (at_work(pod)) still += (still.empty() ? "`" : ", `") + pod.pod_name + "`";
    else ++done;
    content += (content.empty() ? "" : "\n\n") + describe(pod);
  }
  std::string summary = std::to_string(done) + " of " + std::to_string(wait.pods.size()) + " pod(s) finished";
  if (!reason.empty()) summary = reason + "; " + summary;
  if (!still.empty()) summary += "; still at work: " + still;
  return {.summary = summary, .content = content, .is_error = false};
}

std::string PodWaits::describe(Watched const& pod) {
  std::string state = children_.shown_state(pod.pod_id);
  if (state.empty()) {
    auto const& reclaimed = core_.state.reclaimed_children;
    auto last = std::find_if(reclaimed.rbegin(), reclaimed.rend(), [&](auto const& child) { return child.pod_id == pod.pod_id; });
    state = last != reclaimed.rend() && last->crashed ? "crashed" : "ended";
  }
  std::string work = "work not done";
  auto const* ended = pod.end ? std::get_if<wire::TurnEnded>(&*pod.end) : nullptr;
  if (at_work(pod)) work = ended != nullptr && ended->pending_children > 0 ? "still at work: it waits for pods of its own" : "still at work";
  else if (state == "paused") work = "work not done: a person paused it and can resume it";
  else if (pod.end) work = std::visit(WorkOf{}, *pod.end);
  else if (pod.was_done) work = "it had no work open when the wait began";
  else if (children_.is_living(pod.pod_id)) work = "it has no work";
  std::string text = "`" + pod.pod_name + "`: " + state + ", " + work;
  auto said = pod.end ? std::visit(AnswerOf{}, *pod.end) : std::nullopt;
  if (said && !at_work(pod) && !text::trim(*said).empty()) text += ". Its last answer:\n" + shortened(*said);
  return text;
}

}  // namespace insomnia::pod
