#pragma once

#include <signal.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "e2e.hh"
#include "testing/fifo.hh"

/// What the crash matrices share: models that cope with whatever they are told, as real ones would, a process that stands still at one step,
/// and what must be true when all is over.
namespace insomnia::e2e {

/// A Pod whose work is to have a child do it: it spawns the child, waits for its report, stops it and is done. Whatever dies on the way.
struct Manager {
  std::string child;
  std::string task;    ///< of the child; what it is told when it has to be asked again is this and ": do it"
  std::string scope;   ///< what it writes
  std::string report;  ///< how the child's reports begin
  std::string done;    ///< what it says itself in the end
  bool restores = false;  ///< brings a child that crashed back instead of spawning another one
};

inline Reply next_of_manager(Manager const& manager, Conversation const& conversation) {
  auto call = [&](std::string const& tool, std::string const& input) {
    return tool_reply({{tool + std::to_string(conversation.calls.size()), tool, input}});
  };
  std::string named = arguments({{"name", manager.child}});
  auto spawn = [&] { return call("SpawnPod", spawn_arguments(manager.child, manager.task, {"write:" + manager.scope})); };
  auto bring_back = [&] { return manager.restores ? call("RestorePod", named) : spawn(); };
  auto send = [&] { return call("SendToPod", arguments({{"name", manager.child}, {"message", manager.task + ": do it"}})); };

  for (auto const& result : conversation.results) {
    if (result.id.starts_with("StopPod") && !result.is_error) return text_reply(manager.done);
  }
  auto const* last = conversation.latest_results.empty() ? nullptr : &conversation.latest_results.back();
  auto last_says = [&](std::string_view text) { return last != nullptr && contains(last->text, text); };
  if (conversation.was_told(manager.report)) {
    if (last_says("no spawned pod")) return text_reply(manager.done);  // it had ended by itself
    return call("StopPod", named);
  }
  // A crash can be told in one message with what came before it.
  for (auto const* end : {"` crashed", "` shut down"}) {
    if (contains(conversation.latest, "pod `" + manager.child + end)) return bring_back();
  }
  if (last == nullptr) return conversation.calls.empty() ? spawn() : text_reply("I wait.");
  bool is_restore = last->id.starts_with("RestorePod");
  if (is_restore && last->is_error) return spawn();
  if (is_restore && !last_says("it goes on with its work")) return send();
  if (!last->is_error) return text_reply("I wait.");
  if (last_says("has ended") || last_says("no spawned pod")) return bring_back();
  if (last_says("you have a Pod named")) return send();
  return spawn();
}

class CrashMatrix : public E2e {
 protected:
  /// "name task N" instead of one and the same text, so that a report that comes twice is told from a second report.
  static std::string numbered(std::string const& text, Conversation const& conversation) {
    return text + ", task " + std::to_string(conversation.said.size());
  }
  /// The Pod that does the work: one file.
  void answer_as_worker(std::string const& task, std::string const& path, std::string const& report) {
    answer_with(server, task, [this, path, report](Conversation const& conversation) {
      if (home.read(path) == "x") return text_reply(numbered(report, conversation));
      return tool_reply({{"w" + std::to_string(conversation.calls.size()), "Write", arguments({{"file_path", home.file(path)}, {"content", "x"}})}});
    });
  }

  /// Starts `boss` on the task PARENT and waits until a process stands still at "<pod>:<fault point>".
  void run_to(std::string const& at) {
    testing::Fifo fifo(home.file("fault"));
    home.environment.set("INSOMNIA_FAULT", at);
    home.environment.set("INSOMNIA_FAULT_FIFO", fifo.path());
    run_ = home.start({"run", "PARENT", "--name", "boss"});
    auto line = fifo.read_line(kPatienceMs);
    ASSERT_TRUE(line) << "the point was not reached\n" << run_->out() << run_->err();
    stopped_ = std::stoi(*line);
    ASSERT_TRUE(testing::wait_for_stop(stopped_));
    ::unlink(fifo.path().c_str());  // later processes pass
    home.environment.unset("INSOMNIA_FAULT");
    stopped_pod_ = at.substr(0, at.find(':'));
  }
  /// Kills these Pods; the one that stands still goes on unless it is one of them.
  void kill(std::set<std::string> const& victims) {
    // Those that run first: nobody gets to see the death of one that is to die with it.
    for (auto const& pod : victims) {
      if (pid_t pid = pod == stopped_pod_ ? 0 : home.pid_of(pod); pid > 0) kill_process(pid);
    }
    if (victims.contains(stopped_pod_)) kill_process(stopped_);
    else ::kill(stopped_, SIGCONT);
    boss_is_dead_ = victims.contains("boss");
  }

  /// The work gets done, by restoring what was killed when that was the topmost Pod.
  void expect_work_gets_done() {
    if (boss_is_dead_) {
      EXPECT_TRUE(run_->wait().has_value());
      auto restored = home.run({"restore", "--all"});
      pid_t boss = home.pid_of("boss");
      if (boss == 0 && !contains(restored.out, "boss")) {
        EXPECT_TRUE(has(home.run({"read", "boss"}).out, "All done.")) << restored.out << restored.err;
      }
      if (boss > 0) {
        EXPECT_TRUE(testing::wait_for_death(boss)) << home.run({"logs", "boss"}).out;
      }
    } else {
      EXPECT_TRUE(ended_with(0, *run_));
    }
    EXPECT_TRUE(has(home.run({"read", "boss"}).out, "All done."));
  }
  void expect_nothing_is_left() {
    EXPECT_TRUE(home.living().empty());
    EXPECT_EQ(home.run({"ps", "--json"}).out, "[]\n");
    EXPECT_TRUE(home.processes().empty());
    // What they held is free.
    server.enqueue(text_reply("Mine."));
    EXPECT_TRUE(ended_with(0, home.run({"run", "Take it", "--name", "next", "--cwd", "left"})));
  }
  /// Every call of that Pod was answered once, and no report of its child came twice.
  void expect_told_once(std::string const& task, std::string const& report) {
    auto conversation = last_conversation(server, task);
    for (auto const& id : conversation.calls) EXPECT_EQ(conversation.count_results(id), 1u) << id;
    std::multiset<std::string> reports;
    for (auto const& text : conversation.said) {
      for (size_t at = text.find(report); at != std::string::npos; at = text.find(report, at + 1)) {
        reports.insert(text.substr(at, text.find('\n', at) - at));
      }
    }
    EXPECT_FALSE(reports.empty()) << task;
    for (auto const& one : reports) EXPECT_EQ(reports.count(one), 1u) << one;
  }

  std::unique_ptr<Program> run_;

 private:
  static void kill_process(pid_t pid) {
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(testing::wait_for_death(pid));
  }

  pid_t stopped_ = 0;
  std::string stopped_pod_;
  bool boss_is_dead_ = false;
};

/// For names of tests.
inline std::string identifier(std::string text) {
  for (auto& c : text) {
    if (c == ':' || c == '.') c = '_';
  }
  return text;
}

}  // namespace insomnia::e2e
