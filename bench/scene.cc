#include "scene.hh"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/environment.hh"
#include "base/io.hh"
#include "loop/child.hh"

namespace insomnia::bench {
namespace {

/// NAME of a conversation with "parent-task NAME;" or "child-task NAME;". Only a root's has both.
std::string pod_of(std::string const& body, bool& is_child) {
  for (std::string kind : {"parent-task ", "child-task "}) {
    size_t start = body.find(kind);
    if (start == std::string::npos) continue;
    is_child = kind.starts_with('c');
    start += kind.size();
    return body.substr(start, body.find(';', start) - start);
  }
  return "";
}

/// A server for a thousand Pods needs as many descriptors.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Scene::Scene() : home_(Environment::of_process().get("INSOMNIA_BENCH_BINARY").value_or(INSOMNIA_BINARY)) {
  raise_descriptor_limit();
  home_.environment.set("ANTHROPIC_API_KEY", "fake");
  home_.environment.set("ANTHROPIC_BASE_URL", server_.url());
  home_.write("a.txt", "one\ntwo\nthree\n");
  server_.answer_all([this](testing::RecordedRequest const& request) { return answer(request); });
}

std::string Scene::manifest_with_children(size_t max_children) const {
  std::string name = "children-" + std::to_string(max_children) + ".toml";
  home_.write(name, "[limits]\nmax_children = " + std::to_string(max_children) + "\n");
  return home_.file(name);
}

testing::Reply Scene::answer(testing::RecordedRequest const& request) {
  Time arrived = now();
  bool is_child = false;
  std::string name = pod_of(request.body, is_child);
  std::lock_guard lock(mutex_);
  Model& model = models_[name];
  model.requests.push_back(arrived);
  changed_.notify_all();
  bool calls = is_child && model.requests.size() == 1 && !child_call_.empty();
  auto reply = calls ? testing::tool_reply(child_call_) : testing::text_reply("noted");
  if (!model.replies.empty()) {
    reply = std::move(model.replies.front());
    model.replies.pop_front();
  }
  model.answers.push_back(now());
  return reply;
}

void Scene::script(std::string const& pod, std::deque<testing::Reply> replies) {
  std::lock_guard lock(mutex_);
  models_[pod] = {.replies = std::move(replies), .requests = {}, .answers = {}};
}

void Scene::children_call(testing::ScriptedCall call) {
  std::lock_guard lock(mutex_);
  child_call_ = {std::move(call)};
}

Result<Time> Scene::request_of(std::string const& pod, size_t number) {
  std::unique_lock lock(mutex_);
  auto& requests = models_[pod].requests;
  if (changed_.wait_for(lock, std::chrono::milliseconds(kPatienceMs), [&] { return requests.size() >= number; })) return requests[number - 1];
  return fail(Code::Timeout, "request " + std::to_string(number) + " of " + pod + " did not come");
}

Time Scene::answer_of(std::string const& pod, size_t number) {
  std::lock_guard lock(mutex_);
  return models_[pod].answers.at(number - 1);
}

Result<double> Scene::run_ms(std::vector<std::string> arguments, int64_t deadline_ms) const {
  std::vector<std::string> argv{"insomnia"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  Time start = now();
  auto child = TRY(loop::Child::start({.program = home_.binary, .argv = argv, .environment = home_.environment, .cwd = home_.work()}));
  auto status = child.wait(deadline_ms);
  double took = ms(start, now());
  if (status && status->ok()) return took;
  return fail(Code::Internal, "insomnia " + arguments.front() + ": " + (status ? status->describe() : "did not end in time"));
}

Result<void> Scene::start_parent(std::string const& name, std::vector<std::string> const& options) {
  std::vector<std::string> arguments{"run", "parent-task " + name + ";", "--name", name, "--keep"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  TRY(run_ms(arguments));
  return {};
}

Result<void> Driver::start() {
  auto snapshot = client_.wait_for_kind<wire::SnapshotEvent>();
  if (!snapshot) return fail(Code::Unavailable, "a Pod gave no snapshot");
  settled_ = snapshot->settled;
  return {};
}

void Driver::take(wire::Event const& event) {
  if (auto const* status = std::get_if<wire::StatusEvent>(&event.body)) settled_ = status->settled;
  if (auto const* child = std::get_if<wire::ChildEvent>(&event.body)) {
    if (child->child.state == "stopped" || child->child.state == "crashed") ++children_ended_;
  }
  if (auto const* list = std::get_if<wire::PodsListedEvent>(&event.body)) {
    ++lists_;
    list_bytes_ = list->pods.size();
  }
  if (std::holds_alternative<wire::InvokeStartEvent>(event.body)) ++runs_begun_;
  if (std::holds_alternative<wire::RunEndEvent>(event.body)) ++runs_ended_;
}

Result<void> Driver::follow(std::string const& until, std::function<bool()> const& reached) {
  Time start = now();
  while (!reached()) {
    double left = static_cast<double>(kPatienceMs) - ms(start, now());
    auto event = client_.next(static_cast<int64_t>(left));
    if (!event) return fail(Code::Timeout, "a Pod's socket told nothing of " + until);
    if (auto const* error = std::get_if<wire::ErrorEvent>(&event->body)) return fail(Code::Internal, error->code + ": " + error->message);
    take(*event);
  }
  return {};
}

Result<void> Driver::run(std::string const& text) {
  settled_ = false;
  if (!client_.send(wire::RunMethod{wire::text_segments(text)})) return fail(Code::Unavailable, "a Pod takes no task");
  return wait_for_run_start(runs_begun_ + 1);
}

Result<void> Driver::wait_for_run_start(size_t number) {
  return follow("the start of a run", [&] { return runs_begun_ >= number; });
}

Result<void> Driver::wait_for_run_end() {
  return follow("the end of a run", [&] { return runs_ended_ >= runs_begun_; });
}

Result<void> Driver::wait_until_settled(size_t ended) {
  return follow("the end of the work", [&] { return settled_ && children_ended_ >= ended; });
}

Result<void> Driver::list_pods(size_t& bytes) {
  size_t before = lists_;
  if (!client_.send(wire::ListPodsMethod{})) return fail(Code::Unavailable, "a Pod takes no request");
  TRY(follow("the list of Pods", [&] { return lists_ > before; }));
  bytes = list_bytes_;
  return {};
}

testing::ScriptedCall spawn_call(std::string const& name, std::string const& target, std::string const& permission, std::string const& more) {
  return {"call-" + name, "SpawnPod",
          R"({"name":")" + name + R"(","task":"child-task )" + name + R"(;","scope":[{"target":")" + target + R"(","permission":")" + permission +
              R"("}])" + more + "}"};
}

bool report(Result<void> const& result) {
  if (!result) std::printf("stopped: %s\n", result.error().message.c_str());
  return !result;
}

}  // namespace insomnia::bench
