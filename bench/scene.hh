#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.hh"
#include "measure.hh"
#include "testing/anthropic_stream.hh"
#include "testing/fake_llm_server.hh"
#include "testing/pod_client.hh"
#include "testing/pod_home.hh"

namespace insomnia::bench {

inline constexpr int64_t kPatienceMs = 120'000;

/// Pods with scripted models, in a home of their own. A root's conversation begins with "parent-task NAME;", a child's with
/// "child-task NAME;". The product is the one of this build, or $INSOMNIA_BENCH_BINARY, to compare two. The destructor kills and reaps all that was started. Panics only before anything is started.
class Scene {
 public:
  Scene();

  testing::PodHome const& home() const { return home_; }
  /// Of `insomnia run`, for a parent that may have that many living children.
  std::string manifest_with_children(size_t max_children) const;

  /// What the Pod's model answers to its next requests; all others are answered with the text "noted". Requests count from 1 again.
  void script(std::string const& pod, std::deque<testing::Reply> replies);
  /// A child's first answer is this call, its second a text. Default: text at once.
  void children_call(testing::ScriptedCall call);

  /// When the Pod's model was asked for the n-th time since script() for this Pod, from 1; waits for it.
  Result<Time> request_of(std::string const& pod, size_t number);
  /// When its answer to that went out. REQUIRES: the request was waited for.
  Time answer_of(std::string const& pod, size_t number);

  /// `insomnia ARGUMENTS…` to its end, its output dropped; how long that took. An error when it did not end with status 0.
  Result<double> run_ms(std::vector<std::string> arguments, int64_t deadline_ms = kPatienceMs) const;
  /// A root that has answered its first task with a text and stays.
  Result<void> start_parent(std::string const& name, std::vector<std::string> const& options = {});

 private:
  struct Model {
    std::deque<testing::Reply> replies;
    std::vector<Time> requests, answers;
  };
  testing::Reply answer(testing::RecordedRequest const& request);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Model> models_;  ///< by the Pod's name
  std::vector<testing::ScriptedCall> child_call_;
  testing::FakeLlmServer server_;
  testing::PodHome home_;
};

/// A client that gives a Pod work and follows what happens.
class Driver {
 public:
  Driver(Scene const& scene, std::string const& pod) : client_(scene.home().paths().pod_socket(pod)) {}

  /// Reads the snapshot; first of all.
  Result<void> start();
  /// Gives the Pod a task; returns when it has begun.
  Result<void> run(std::string const& text);
  Result<void> wait_for_run_end();
  /// Until the Pod has begun `number` runs in all since start().
  Result<void> wait_for_run_start(size_t number);
  /// Until nothing more will happen by itself and `ended` children in all have ended since start().
  Result<void> wait_until_settled(size_t ended = 0);
  Result<void> list_pods(size_t& bytes);
  /// Since start().
  size_t runs_begun() const { return runs_begun_; }

 private:
  Result<void> follow(std::string const& until, std::function<bool()> const& reached);
  void take(wire::Event const& event);

  testing::PodClient client_;
  bool settled_ = false;
  size_t runs_begun_ = 0, runs_ended_ = 0, children_ended_ = 0, lists_ = 0, list_bytes_ = 0;
};

/// SpawnPod of a child with the task "child-task NAME;". `more`: further members of the input, each with a comma before it.
testing::ScriptedCall spawn_call(std::string const& name, std::string const& target, std::string const& permission,
                                 std::string const& more = "");

/// Prints the error; whether there is one.
bool report(Result<void> const& result);

}  // namespace insomnia::bench
