#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include <boost/json.hpp>
#include <set>

#include "base/io.hh"
#include "e2e.hh"
#include "pod/mailbox.hh"
#include "pod/store.hh"
#include "registry/liveness.hh"
#include "registry/registry.hh"
#include "testing/fifo.hh"

// Cases of doc/conformance.md that need whole processes.
namespace insomnia::e2e {
namespace {

class Conformance : public E2e {
 protected:
  Conformance() { home.write("left/deep/old.txt", "deep\n"); }

  std::optional<registry::Allocation> row(std::string const& pod) const {
    Paths paths = home.paths();
    auto table = registry::open_sqlite_registry(paths.registry_db(), registry::lock_liveness(paths.runtime_dir, paths.data_dir), {.read_only = true});
    if (!table) return std::nullopt;
    return (*table)->find(pod).value();
  }
  std::string runtime_file(std::string const& pod, std::string const& name) const { return home.paths().pod_runtime_dir(pod) + "/" + name; }
  std::string spawn_kid() const { return spawn_arguments("kid", "CHILD", {"write:" + home.file("left")}); }
  std::string spawn_grandkid() const { return spawn_arguments("grandkid", "SMALL", {"write:" + home.file("left/deep")}); }

  /// The Pods that start from now on stop at this point; the process that did.
  pid_t stop_at(testing::Fifo& fifo) {
    auto line = fifo.read_line(kPatienceMs);
    EXPECT_TRUE(line) << "the point was not reached";
    return line ? std::stoi(*line) : 0;
  }
  void set_fault(std::string const& point, testing::Fifo const& fifo) {
    home.environment.set("INSOMNIA_FAULT", point);
    home.environment.set("INSOMNIA_FAULT_FIFO", fifo.path());
  }
  static void kill_and_wait(pid_t pid) {
    ASSERT_GT(pid, 1);
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(testing::wait_for_death(pid));
  }
  /// For files that a Pod writes beside its work.
  template <class Condition>
  static bool comes_true(Condition const& condition) {
    for (int64_t ms = 0; ms < kPatienceMs; ++ms) {
      if (condition()) return true;
      ::poll(nullptr, 0, 1);
    }
    return false;
  }
};

// P97 of doc/conformance.md, for a Pod that was started by hand.
TEST_F(Conformance, PartsOfAWindowAreTokensWhoeverStartsThePod) {
  home.write("parts.toml",
             "model = { ref = 'codex-oauth/gpt-5.5', auth = { kind = 'none' } }\n"
             "compaction = { kind = 'ratio', threshold = 0.5, request = 0.75, worker = 0.25 }\n");
  auto pod = home.start({"pod", "--pod", "parts", "--profile", "./parts.toml"});
  std::optional<manifest::Compaction> compaction;
  EXPECT_TRUE(comes_true([&] {
    auto manifest = manifest::parse_toml(io::read_file(runtime_file("parts", "manifest.toml")).value_or(""), "manifest.toml");
    if (manifest) compaction = manifest->compaction;
    return compaction.has_value();
  })) << pod->err();
  EXPECT_EQ(compaction, (manifest::Compaction{.threshold = 136'000, .request_threshold = 204'000, .worker_context_max_tokens = 68'000}));
  EXPECT_TRUE(ended_with(0, home.run({"stop", "parts"})));
  EXPECT_TRUE(ended_with(0, *pod));
}

// Case 66, 67, 68, 71, 72.
TEST_F(Conformance, TheRuntimeDirectoryTellsWhatThePodIsAndDoes) {
  Reply late = text_reply("Done.");
  late.head_gate = "head";
  server.enqueue(late);
  auto run = home.start({"run", "Begin", "--name", "worker", "--keep"});
  ASSERT_TRUE(server.wait_for_gate("head", kPatienceMs)) << run->err();
  auto state = pod::read_pod_state(home.paths(), "worker");
  ASSERT_TRUE(state && *state);
  auto content = [&](std::string const& name) { return io::read_file(runtime_file("worker", name)).value_or(""); };
  // What enforces the scope depends on the machine (doc/cell.md).
  auto tells = [&](std::string const& what) {
    std::string text = content("status.json");
    auto with = [&](char const* isolation) {
      return json::dump(boost::json::object{{"state", what}, {"segment_id", (*state)->segment_id}, {"pod_name", "worker"}, {"isolation", isolation}}) + "\n";
    };
    return text == with("cell") || text == with("landlock");
  };
  EXPECT_TRUE(comes_true([&] { return tells("running"); })) << content("status.json");
  auto manifest = manifest::parse_toml(content("manifest.toml"), "manifest.toml");
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(*manifest, (*state)->config);
  std::string pid = std::to_string(home.pid_of("worker"));
  EXPECT_TRUE(has(content("lock"), " " + pid + " "));
  server.open_gate("head");
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(comes_true([&] { return tells("idle"); })) << content("status.json");
  ASSERT_TRUE(ended_with(0, home.run({"stop", "worker"})));
  EXPECT_EQ(io::list_directory(home.paths().pod_runtime_dir("worker")).value(), (std::vector<std::string>{"lock", "stderr.log"}));
}

// What happens in which order: a child holds its row before anybody can reach it.
TEST_F(Conformance, AChildIsInTheRegistryBeforeItHasASocket) {
  testing::Fifo fifo(home.file("fault"));
  set_fault("kid:start.registered", fifo);
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    return conversation.calls.empty() ? tool_reply({{"s1", "SpawnPod", spawn_kid()}}) : text_reply("Done.");
  });
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  pid_t kid = stop_at(fifo);
  auto found = row("kid");
  ASSERT_TRUE(found) << run->err();
  EXPECT_EQ(found->state, registry::AllocationState::Live);
  EXPECT_EQ(found->pid, kid);
  EXPECT_FALSE(found->segment_id.empty());
  EXPECT_FALSE(io::exists(home.paths().pod_socket("kid")));
  kill_and_wait(kid);
  ASSERT_TRUE(ended_with(0, *run));
  EXPECT_TRUE(has(last_conversation(server, "PARENT").result("s1"), "ended before it was ready"));
  EXPECT_TRUE(home.processes().empty());
}

// Letters have the same names for every Pod of a name: what an earlier one left must be gone before anybody writes to this one.
TEST_F(Conformance, LettersForAnEarlierPodOfTheNameAreSetAsideBeforeItIsReady) {
  testing::Fifo fifo(home.file("fault"));
  set_fault("kid:start.before_ready", fifo);
  pod::Mail old{.to_pod_id = "earlier-id", .from_pod_id = "boss-id", .from_pod_name = "boss", .seq = 1, .event = std::nullopt, .text = "too late"};
  ASSERT_TRUE(pod::post_mail(home.paths(), "kid", old));
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    return conversation.calls.empty() ? tool_reply({{"s1", "SpawnPod", spawn_kid()}}) : text_reply("Done.");
  });
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  pid_t kid = stop_at(fifo);
  std::string inbox = home.paths().pod_dir("kid") + "/inbox";
  EXPECT_FALSE(io::exists(inbox + "/boss-id.1.json"));
  EXPECT_TRUE(io::exists(inbox + "/dead/boss-id.1.json"));
  EXPECT_TRUE(io::exists(home.paths().pod_socket("kid")));
  kill_and_wait(kid);
  ASSERT_TRUE(ended_with(0, *run));
}

// What happens in which order: commands end, the state is stored, and only then the row goes and with it the scope.
TEST_F(Conformance, AtItsEndAPodGivesItsScopeBackLast) {
  testing::Fifo fifo(home.file("fault")), ready(home.file("ready"));
  set_fault("worker:leave.stored", fifo);
  server.enqueue(tool_reply({{"b1", "Bash", arguments({{"command", "echo $$ > ready; exec sleep 1000"}})}}));
  auto run = home.start({"run", "Begin", "--name", "worker"});
  auto command = ready.read_line(kPatienceMs);
  ASSERT_TRUE(command) << run->err();
  PodClient client(home.paths().pod_socket("worker"));
  ASSERT_TRUE(client.wait_for_kind<wire::SnapshotEvent>());
  ASSERT_TRUE(client.send(wire::ShutdownMethod{}));
  EXPECT_TRUE(client.wait_for_kind<wire::ShutdownEvent>());
  pid_t worker = stop_at(fifo);
  auto processes = home.processes();
  EXPECT_EQ(std::set<pid_t>(processes.begin(), processes.end()), (std::set<pid_t>{run->pid(), worker})) << "nothing of it can write any more";
  EXPECT_FALSE(io::exists(home.paths().pod_socket("worker")));
  auto state = pod::read_pod_state(home.paths(), "worker");
  ASSERT_TRUE(state && *state);
  EXPECT_EQ((*state)->ended, "done");
  EXPECT_TRUE(row("worker"));
  kill_and_wait(worker);
  EXPECT_FALSE(row("worker"));
  run->wait();
}

// Case 126, 129: what is lent further down is known, and the model hears nothing of it, at work or not.
TEST_F(Conformance, NewsOfAGrandchildStartNoRunAndAreInNoRequest) {
  Reply waiting = text_reply("I wait.");
  waiting.head_gate = "parent";
  answer_with(server, "PARENT", [&, waiting](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_kid()}});
    if (conversation.was_told("child is done")) return text_reply("Done.");
    return conversation.answers.empty() ? waiting : text_reply("Why was I asked?");
  });
  Reply small = text_reply("small one is done");
  small.head_gate = "small";
  Reply child = text_reply("I wait for the small one.");
  child.head_gate = "child";  // its own report comes later than the news of its child
  answer_with(server, "CHILD", [&, child](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_grandkid()}});
    return conversation.was_told("small one is done") ? text_reply("child is done") : child;
  });
  answer_task(server, "SMALL", {small});
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("small", kPatienceMs)) << run->err();
  ASSERT_TRUE(server.wait_for_gate("parent", kPatienceMs)) << run->err();
  PodClient boss(home.paths().pod_socket("boss"));
  auto snapshot = boss.wait_for_kind<wire::SnapshotEvent>();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->status, wire::PodStatus::Running);
  auto knows_grandkid = [&] {
    if (!boss.send(wire::ListPodsMethod{})) return true;
    auto pods = boss.wait_for_kind<wire::PodsListedEvent>();
    return !pods || contains(pods->pods, "\"grandkid\"");
  };
  ASSERT_TRUE(comes_true(knows_grandkid));
  EXPECT_FALSE(boss.ended());
  server.open_gate("parent");
  ASSERT_TRUE(boss.wait_for_kind<wire::RunEndEvent>());
  EXPECT_EQ(conversations(server, "PARENT").size(), 2u);
  server.open_gate("child");
  server.open_gate("small");
  ASSERT_TRUE(ended_with(0, *run));
  for (auto const& text : last_conversation(server, "PARENT").said) {
    EXPECT_FALSE(contains(text, "sub-delegated") || contains(text, "grandkid")) << text;
  }
}

// Case 30: what memory keeps is read by all tools and written by its own, also by those of a child.
TEST_F(Conformance, MemoryIsNotWrittenByGeneralTools) {
  auto write = [&](std::string const& path) { return tool_reply({{"w", "Write", arguments({{"file_path", home.file(path)}, {"content", "x"}})}}); };
  std::string spawn = spawn_arguments("kid", "CHILD", {"write:" + home.work()});
  answer_task(server, "PARENT", {write(".insomnia/memory/a.md"), tool_reply({{"s", "SpawnPod", spawn}}), text_reply("I wait."), text_reply("Done.")});
  answer_task(server, "CHILD", {write(".insomnia/knowledge/a.md"), write("plain.md"), text_reply("child is done")});
  ASSERT_TRUE(ended_with(0, home.run({"run", "PARENT", "--name", "boss"})));
  EXPECT_TRUE(has(last_conversation(server, "PARENT").result("w"), "you may only read it"));
  EXPECT_EQ(home.read(".insomnia/memory/a.md"), "<no file>");
  EXPECT_EQ(home.read(".insomnia/knowledge/a.md"), "<no file>");
  EXPECT_EQ(home.read("plain.md"), "x");
}

// R14: a signal ends a child in good order; its parent is told and has the scope back.
TEST_F(Conformance, AChildThatIsTerminatedIsReportedAndItsScopeIsBack) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_kid()}});
    if (!conversation.was_told("pod `kid`")) return text_reply("I wait.");
    if (conversation.calls.size() == 1) return tool_reply({{"w1", "Write", arguments({{"file_path", home.file("left/mine.txt")}, {"content", "mine"}})}});
    return text_reply("I know.");
  });
  Reply endless = stream_reply(AnthropicStream().text("I think").without_end());
  endless.pieces.push_back(Piece::gate("never"));
  answer_task(server, "CHILD", {endless});
  auto run = home.start({"run", "PARENT", "--name", "boss"});
  ASSERT_TRUE(server.wait_for_gate("never", kPatienceMs)) << run->err();
  pid_t kid = home.pid_of("kid");
  ASSERT_GT(kid, 1);
  ::kill(kid, SIGTERM);
  ASSERT_TRUE(ended_with(0, *run));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_FALSE(parent.was_told("crashed")) << parent.said.back();
  EXPECT_EQ(home.read("left/mine.txt"), "mine") << parent.result("w1");
  EXPECT_FALSE(row("kid"));
  auto state = pod::read_pod_state(home.paths(), "kid");
  ASSERT_TRUE(state && *state);
  EXPECT_EQ((*state)->ended, "interrupted") << "a restore brings it back";
  EXPECT_TRUE(home.processes().empty());
}

}  // namespace
}  // namespace insomnia::e2e
