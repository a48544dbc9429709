#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "e2e.hh"
#include "testing/fifo.hh"

namespace insomnia::e2e {
namespace {

/// Who is killed while one process stands still at a step of a spawn, a stop or an end.
enum class Victims { Itself, TheOther, All };

struct Case {
  std::string at;  ///< "<pod>:<fault point>"
  Victims victims;
};

std::string name_of(Case const& example) {
  std::string name = example.at;
  for (auto& c : name) {
    if (c == ':' || c == '.') c = '_';
  }
  char const* killed[] = {"KillsItself", "KillsTheOther", "KillsAll"};
  return name + "_" + killed[static_cast<int>(example.victims)];
}

/// The test's name must not have the bytes of the case in it, which differ from run to run.
void PrintTo(Case const& example, std::ostream* out) { *out << name_of(example); }

/// `boss` spawns `kid` on a directory that does not exist yet; kid writes a file and reports; boss stops it and is done. The models cope with
/// whatever they are told, as real ones would. Afterwards the work is done, each result came once, and nothing is left.
class CrashMatrix : public E2e, public ::testing::WithParamInterface<Case> {
 protected:
  CrashMatrix() {
    answer_with(server, "PARENT", [this](Conversation const& conversation) { return next_of_parent(conversation); });
    answer_with(server, "CHILD", [this](Conversation const& conversation) {
      if (home.read("left/new/x.txt") != "x") {
        return tool_reply({{"w" + std::to_string(conversation.calls.size()), "Write",
                            arguments({{"file_path", home.file("left/new/x.txt")}, {"content", "x"}})}});
      }
      // Numbered by what it was asked, so that a report that comes twice is told from a second report.
      return text_reply("child is done, task " + std::to_string(conversation.said.size()));
    });
  }

  Reply next_of_parent(Conversation const& conversation) {
    size_t count = conversation.calls.size();
    auto call = [&](std::string const& tool, std::string const& input) {
      return tool_reply({{tool + std::to_string(count), tool, input}});
    };
    bool stopped = false;
    bool exists = false;
    for (auto const& result : conversation.results) {
      bool stop = result.id.starts_with("StopPod");
      stopped = stopped || (stop && !result.is_error);
      exists = exists || contains(result.text, "you have a Pod named");
    }
    if (stopped) return text_reply("All done.");
    if (conversation.was_told("child is done")) {
      if (contains(last_text(conversation), "no spawned pod")) return text_reply("All done.");  // it had ended by itself
      return call("StopPod", R"({"name":"kid"})");
    }
    auto const& latest = conversation.latest_results;
    bool sent = !latest.empty() && latest.back().id.starts_with("SendToPod") && !latest.back().is_error;
    bool spawned = !latest.empty() && latest.back().id.starts_with("SpawnPod") && !latest.back().is_error;
    bool crashed = contains(conversation.latest, "pod `kid` crashed") || contains(conversation.latest, "pod `kid` shut down");
    if ((sent || spawned) && !crashed) return text_reply("I wait.");
    if (exists && !crashed) {
      bool gone = contains(last_text(conversation), "has ended") || contains(last_text(conversation), "no spawned pod");
      if (gone) return call("SpawnPod", spawn());
      if (!latest.empty()) return call("SendToPod", R"({"name":"kid","message":"CHILD: do it"})");
      return text_reply("I wait.");
    }
    if (count == 0 || !latest.empty() || crashed) return call("SpawnPod", spawn());
    return text_reply("I wait.");
  }

  static std::string last_text(Conversation const& conversation) {
    return conversation.latest_results.empty() ? "" : conversation.latest_results.back().text;
  }
  std::string spawn() const { return spawn_arguments("kid", "CHILD", {"write:" + home.file("left/new")}); }

  void kill(std::string const& pod) {
    if (pid_t pid = home.pid_of(pod); pid > 0) {
      ::kill(pid, SIGKILL);
      EXPECT_TRUE(testing::wait_for_death(pid));
    }
  }
};

TEST_P(CrashMatrix, NothingIsLostAndNothingIsLeft) {
  home.write("left/old.txt", "left\n");
  testing::Fifo fifo(home.file("fault"));
  home.environment.set("INSOMNIA_FAULT", GetParam().at);
  home.environment.set("INSOMNIA_FAULT_FIFO", fifo.path());
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  auto line = fifo.read_line(kPatienceMs);
  ASSERT_TRUE(line) << "the point was not reached\n" << run->out() << run->err();
  pid_t stopped = std::stoi(*line);
  ASSERT_TRUE(testing::wait_for_stop(stopped));
  ::unlink(fifo.path().c_str());  // later processes pass
  std::string itself = GetParam().at.substr(0, GetParam().at.find(':'));
  std::string other = itself == "boss" ? "kid" : "boss";
  pid_t boss = home.pid_of("boss");

  home.environment.unset("INSOMNIA_FAULT");
  bool boss_dies = GetParam().victims == Victims::All || (GetParam().victims == Victims::Itself) == (itself == "boss");
  if (GetParam().victims != Victims::Itself) kill(other);
  if (GetParam().victims != Victims::TheOther) {
    ::kill(stopped, SIGKILL);
    EXPECT_TRUE(testing::wait_for_death(stopped));
  }
  if (GetParam().victims == Victims::TheOther) ::kill(stopped, SIGCONT);

  if (boss_dies) {
    EXPECT_TRUE(run->wait().has_value());
    auto restored = home.run({"restore", "--all"});
    if (home.pid_of("boss") == 0 && !contains(restored.out, "boss")) {
      EXPECT_TRUE(has(home.run({"read", "boss"}).out, "All done.")) << restored.out << restored.err;
    }
    boss = home.pid_of("boss");
    if (boss > 0) {
      EXPECT_TRUE(testing::wait_for_death(boss)) << home.run({"logs", "boss"}).out;
    }
  } else {
    EXPECT_TRUE(ended_with(0, *run));
  }

  EXPECT_TRUE(has(home.run({"read", "boss"}).out, "All done."));
  EXPECT_EQ(home.read("left/new/x.txt"), "x");
  EXPECT_TRUE(home.living().empty());
  EXPECT_EQ(home.run({"ps", "--json"}).out, "[]\n");
  EXPECT_TRUE(home.processes().empty());
  auto parent = last_conversation(server, "PARENT");
  for (auto const& id : parent.calls) EXPECT_EQ(parent.count_results(id), 1u) << id;
  std::multiset<std::string> reports;
  for (auto const& text : parent.said) {
    if (auto at = text.find("child is done"); at != std::string::npos) reports.insert(text.substr(at, 21));
  }
  EXPECT_FALSE(reports.empty());
  for (auto const& report : reports) EXPECT_EQ(reports.count(report), 1u) << report;
  // What it held is free.
  server.enqueue(text_reply("Mine."));
  EXPECT_TRUE(ended_with(0, home.run({"run", "Take it", "--name", "next", "--cwd", "left"})));
}

std::vector<Case> all_cases() {
  std::vector<Case> result;
  for (auto const* at : {"boss:spawn.recorded", "boss:spawn.reserved", "boss:spawn.made", "boss:spawn.demoted", "kid:start.handed_over",
                         "kid:start.registered", "kid:start.before_ready", "kid:start.ready", "boss:spawn.ready", "boss:spawn.live",
                         "boss:spawn.delivered", "kid:run.ended", "kid:report.posted", "boss:stop.asked", "kid:leave.stored",
                         "kid:leave.released", "boss:end.noticed", "boss:end.released", "boss:end.recorded"}) {
    for (auto victims : {Victims::Itself, Victims::TheOther, Victims::All}) result.push_back({at, victims});
  }
  return result;
}

INSTANTIATE_TEST_SUITE_P(SpawnAndStop, CrashMatrix, ::testing::ValuesIn(all_cases()), [](auto const& info) { return name_of(info.param); });

}  // namespace
}  // namespace insomnia::e2e
