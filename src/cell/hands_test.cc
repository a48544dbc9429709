#include "cell/hands.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/io.hh"
#include "base/text.hh"
#include "cell/hands_fixture_test.hh"
#include "cell/init.hh"
#include "cell/probe.hh"
#include "loop/signals.hh"
#include "tools/process_list.hh"
#include "wire/line_reader.hh"

namespace {

using namespace insomnia;

/// Hands that never confirm a scope: every call answers with the permissions that they were sent one after the other.
int run_stubborn_hands(int fd) {
  wire::LineReader lines(1 << 20);
  std::string scopes;
  char buffer[4096];
  for (ssize_t count; (count = ::read(fd, buffer, sizeof buffer)) > 0;) {
    lines.feed({buffer, static_cast<size_t>(count)});
    for (auto line = lines.next(); line && *line; line = lines.next()) {
      auto command = tools::decode_command(**line);
      if (!command) return 1;
      auto add = [&](scope::ScopeConfig const& scope) {
        scopes += scope.allow[0].permission == scope::Permission::Write ? " write" : " read";
      };
      if (auto* start = std::get_if<tools::HandsStart>(&*command)) add(start->scope);
      if (auto* set = std::get_if<tools::SetScope>(&*command)) add(set->scope);
      auto* request = std::get_if<tools::ToolRequest>(&*command);
      if (request == nullptr) continue;
      std::string answer = tools::encode_hands_event(tools::ToolFinished{request->id, {"scopes:" + scopes}, {}}) + "\n";
      if (!io::write_all(fd, answer, "the socket")) return 1;
    }
  }
  return 0;
}

}  // namespace

// This executable is also the program that the tests start as the hands.
int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "hands") == 0) {
    return std::getenv("STUBBORN_HANDS") != nullptr ? run_stubborn_hands(3) : tools::hands_main(3);
  }
  if (argc > 1 && std::strcmp(argv[1], "cell-probe") == 0) return cell::cell_probe_main();
  if (argc > 1 && std::strcmp(argv[1], "cell-init") == 0) return cell::cell_init_main(3, 4, std::atoi(argv[2]));
  insomnia::loop::ignore_write_signals();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

namespace insomnia::cell {
namespace {

pid_t number_after(std::string_view text, std::string_view before) {
  size_t at = text.find(before);
  return at == std::string_view::npos ? -1 : std::atoi(std::string(text.substr(at + before.size(), 10)).c_str());
}

bool wait_for_end(pid_t pid) {
  for (int i = 0; i < 10'000; ++i) {
    auto process = tools::read_process(pid);
    if (!process || process->state == 'Z') return true;
    ::poll(nullptr, 0, 1);
  }
  return false;
}

TEST_F(HandsTest, StartWithTheFirstCall) {
  EXPECT_FALSE(hands().running());
  EXPECT_EQ(bash("echo hi"), (tools::Output{"$ echo hi", "hi\n", false}));
  EXPECT_TRUE(hands().running());
}

TEST_F(HandsTest, ToolsAndCommandsSeeTheSameFiles) {
  std::string path = work() + "/a.txt";
  EXPECT_FALSE(run("Write", R"({"file_path":")" + path + R"(","content":"from Write\n"})").is_error);
  EXPECT_EQ(bash("cat a.txt").content, "from Write\n");
  EXPECT_EQ(run("Read", R"({"file_path":")" + path + R"("})").content, "     1\tfrom Write\n");
}

TEST_F(HandsTest, CallsRunAtTheSameTimeAndAnswerInAnyOrder) {
  ASSERT_EQ(::mkfifo((work() + "/gate").c_str(), 0600), 0);
  uint64_t first = start("Bash", R"({"command":"read line < gate; echo $line"})");
  uint64_t second = start("Bash", R"({"command":"echo opened > gate"})");
  EXPECT_EQ(finish(first).output.content, "opened\n");
  finish(second);
}

TEST_F(HandsTest, MoreCallsThanThreadsQueue) {
  std::set<uint64_t> ids;
  for (int i = 0; i < 100; ++i) ids.insert(start("Read", R"({"file_path":")" + work() + "/missing" + std::to_string(i) + R"("})"));
  EXPECT_TRUE(until([&] { return answers_.size() == ids.size(); }));
}

TEST_F(HandsTest, CancelAnswersOnceAndKillsTheCommand) {
  ASSERT_EQ(::mkfifo((work() + "/started").c_str(), 0600), 0);
  uint64_t id = start("Bash", R"({"command":"echo me $$; echo > started; sleep 1000"})");
  UniqueFd started(::open((work() + "/started").c_str(), O_RDONLY | O_CLOEXEC));
  hands().cancel(id);
  auto output = finish(id).output;
  EXPECT_TRUE(output.is_error);
  EXPECT_HAS(output.summary, "cancelled");
  EXPECT_TRUE(wait_for_end(number_after(*output.content, "me ")));
  hands().cancel(id);
  hands().cancel(4711);
  EXPECT_EQ(bash("echo still there").content, "still there\n");
}

TEST_F(HandsTest, CancelOfAQueuedCallAnswersAtOnce) {
  ASSERT_EQ(::mkfifo((work() + "/gate").c_str(), 0600), 0);
  std::vector<uint64_t> blocked;
  for (int i = 0; i < 32; ++i) blocked.push_back(start("Bash", R"({"command":"sleep 1000"})"));
  uint64_t queued = start("Bash", R"({"command":"touch ran"})");
  hands().cancel(queued);
  EXPECT_HAS(finish(queued).output.summary, "cancelled");
  for (auto id : blocked) hands().cancel(id);
  for (auto id : blocked) EXPECT_HAS(finish(id).output.summary, "cancelled");
  EXPECT_FALSE(io::exists(work() + "/ran"));
}

TEST_F(HandsTest, DestructionKillsCommandsAndBackgroundJobs) {
  auto output = bash("sleep 1000 & setsid sleep 1000 & echo $!");
  ASSERT_TRUE(output.content);
  std::vector<pid_t> pids;
  for (auto part : text::split(*output.content, ' ')) {
    if (pid_t pid = std::atoi(std::string(part).c_str()); pid > 1) pids.push_back(pid);
  }
  ASSERT_GE(pids.size(), 2u) << *output.content;
  start("Bash", R"({"command":"sleep 1000"})");
  hands_.reset();
  for (pid_t pid : pids) EXPECT_TRUE(wait_for_end(pid));
}

TEST_F(HandsTest, DeathOfTheProcessAnswersOpenCallsAndTheNextCallStartsANewOne) {
  std::string path = work() + "/a.txt";
  ASSERT_TRUE(io::replace_file(path, "seen\n", 0644));
  run("Read", R"({"file_path":")" + path + R"("})");
  auto output = bash("sleep 1000 & kill -9 $PPID; sleep 1000");
  EXPECT_TRUE(output.is_error);
  EXPECT_HAS(output.summary, "the hands process ended (killed by signal 9 (Killed)) while running Bash; the call may have had effects");
  EXPECT_FALSE(hands().running());
  EXPECT_FALSE(run("Write", R"({"file_path":")" + path + R"(","content":"new"})").is_error) << "the new process knows what was read";
}

TEST_F(HandsTest, CommandsDoNotSurviveTheDeathOfTheProcess) {
  auto before = bash("setsid sleep 1000 & echo pid $!");
  pid_t job = number_after(*before.content, "still running: pid ");
  ASSERT_GT(job, 1);
  auto output = bash("kill -9 $PPID");
  EXPECT_TRUE(output.is_error);
  EXPECT_TRUE(wait_for_end(job));
}

TEST_F(HandsTest, AProgramThatIsNotThereIsAnAnswer) {
  config_.program = "/nonexistent/insomnia";
  auto output = bash("true");
  EXPECT_TRUE(output.is_error);
  EXPECT_HAS(output.summary, "start the hands process: start /nonexistent/insomnia");
}

TEST_F(HandsTest, AProgramThatEndsAtOnceIsAnAnswer) {
  config_.program = "/bin/false";
  auto output = bash("true");
  EXPECT_TRUE(output.is_error);
  EXPECT_HAS(output.summary, "the hands process ended (exit code 1) while running Bash");
}

TEST_F(HandsTest, ArgumentsOfSeveralMegabytesPass) {
  std::string path = work() + "/big";
  std::string content(5 << 20, 'x');
  auto output = run("Write", R"({"file_path":")" + path + R"(","content":")" + content + R"("})");
  EXPECT_EQ(output.summary, "Created " + path + " (5242880 bytes)");
  EXPECT_HAS(run("Write", std::string(9 << 20, ' ')).summary, "longer than 8 MiB");
}

TEST_F(HandsTest, ScopeChangeHoldsForLaterWritesAndForANewProcess) {
  std::string write = R"({"file_path":")" + work() + R"(/a","content":"x"})";
  EXPECT_FALSE(run("Write", write).is_error);
  scope::ScopeConfig read_only{{{work(), Permission::Read, true}}, {}};
  EXPECT_TRUE(set_scope(read_only));
  EXPECT_HAS(run("Write", write).summary, "read-only in this scope");
  bash("kill -9 $PPID");
  EXPECT_HAS(run("Write", write).summary, "read-only in this scope");
  EXPECT_TRUE(set_scope({{{work(), Permission::Write, true}}, {}}));
  EXPECT_FALSE(run("Write", write).is_error);
}

TEST_F(HandsTest, ScopeChangeWithoutAProcessHoldsForTheFirstCall) {
  EXPECT_TRUE(set_scope({{{work(), Permission::Read, true}}, {}}));
  EXPECT_FALSE(hands().running());
  EXPECT_HAS(run("Write", R"({"file_path":")" + work() + R"(/a","content":"x"})").summary, "read-only in this scope");
}

TEST_F(HandsTest, ScopeChangesAnswerInOrder) {
  bash("true");
  std::vector<int> order;
  for (int i = 0; i < 5; ++i) {
    hands().set_scope({{{work(), i % 2 == 0 ? Permission::Read : Permission::Write, true}}, {}}, [&, i](Result<void> done) {
      EXPECT_TRUE(done);
      order.push_back(i);
    });
  }
  EXPECT_TRUE(until([&] { return order.size() == 5; }));
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
}

TEST_F(HandsTest, ScopeThatIsNotConfirmedInTimeIsRolledBack) {
  config_.start.environment["STUBBORN_HANDS"] = "1";
  EXPECT_EQ(run("Any", "{}").summary, "scopes: write");
  auto result = set_scope({{{work(), Permission::Read, true}}, {}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::Timeout);
  EXPECT_EQ(run("Any", "{}").summary, "scopes: write read write");
}

TEST_F(HandsTest, ObservedFilesAreReportedAndKept) {
  config_.start.observed = {{"/before", "ff", false}};
  std::string path = work() + "/a";
  uint64_t id = start("Write", R"({"file_path":")" + path + R"(","content":"abc"})");
  std::vector<tools::Observed> expected = {
      {path, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", true}};
  EXPECT_EQ(finish(id).observed, expected);
  expected.insert(expected.begin(), tools::Observed{"/before", "ff", false});
  EXPECT_EQ(hands().observed(), expected);
}

TEST_F(HandsTest, ACallbackMayDestroyTheHands) {
  bool answered = false;
  hands().call(1, "Bash", R"({"command":"true"})", [&](tools::ToolFinished) {
    answered = true;
    hands_.reset();
  });
  EXPECT_TRUE(until([&] { return answered; }));
  EXPECT_FALSE(hands_);
}

}  // namespace
}  // namespace insomnia::cell
