#include "pod/pod_wait.hh"

#include <csignal>

#include "pod/children_fixture_test.hh"

namespace insomnia::pod {
namespace {

/// Root with children that were given work.
class PodWaitTest : public ChildrenTest {
 protected:
  void start_at_work(std::string const& name) {
    start(name, "pod", directory.directory("work/" + name));
    children->set_work_open(name + "-id", true);
    children->set_shown_state(name + "-id", "running");
  }
  /// As the brain does with the end of a child's run.
  void end_run(std::string const& name, wire::PodEvent const& event) {
    waits->heard(name + "-id", event);
    auto const* interrupted = std::get_if<wire::Interrupted>(&event);
    children->set_shown_state(name + "-id", interrupted != nullptr && interrupted->paused ? "paused" : "idle");
    children->set_work_open(name + "-id", false);
  }
  void finish(std::string const& name, std::string const& answer) { end_run(name, wire::TurnEnded{name, answer, 0}); }
  /// Begins to wait; the answer goes to answers[id].
  void wait(std::string const& arguments, uint64_t id = 1) {
    waits->start(id, arguments, [this, id](tools::Output output) {
      EXPECT_FALSE(answers.contains(id)) << "answered twice";
      answers[id] = std::move(output);
    });
  }
  tools::Output answer(uint64_t id = 1) {
    run_until([&] { return answers.contains(id); });
    return answers[id];
  }
  /// Everything that was posted has run.
  void settle() {
    bool ran = false;
    loop.post([this, &ran] { loop.post([&ran] { ran = true; }); });
    run_until([&] { return ran; });
  }

  std::map<uint64_t, tools::Output> answers;
};

TEST_F(PodWaitTest, InputIsDecodedWithItsDefaults) {
  EXPECT_EQ(*decode_wait_for_pods(""), (WaitForPodsInput{{}, false, 600'000}));
  EXPECT_EQ(*decode_wait_for_pods("{}"), (WaitForPodsInput{{}, false, 600'000}));
  EXPECT_EQ(*decode_wait_for_pods(R"({"names":["a","b","a"],"mode":"any","timeout_ms":5})"), (WaitForPodsInput{{"a", "b"}, true, 5}));
  EXPECT_EQ(decode_wait_for_pods(R"({"timeout_ms":0})")->timeout_ms, 1);
  EXPECT_EQ(decode_wait_for_pods(R"({"timeout_ms":-7})")->timeout_ms, 1);
  EXPECT_EQ(decode_wait_for_pods(R"({"timeout_ms":99999999})")->timeout_ms, 3'600'000);
  for (auto* wrong : {R"({"names":[]})", R"({"names":"a"})", R"({"names":[1]})", R"({"mode":"some"})", R"({"timeout_ms":"x"})", "[]"}) {
    auto input = decode_wait_for_pods(wrong);
    ASSERT_FALSE(input) << wrong;
    EXPECT_HAS(input.error().message, "invalid WaitForPods input");
  }
}

TEST_F(PodWaitTest, AllIsOverWhenTheLastIsDone) {
  start_at_work("ann");
  start_at_work("bob");
  wait(R"({"names":["ann","bob"]})");
  finish("ann", "ann's words");
  settle();
  EXPECT_FALSE(answers.contains(1));
  finish("bob", "bob's words");
  auto output = answer();
  EXPECT_FALSE(output.is_error);
  EXPECT_EQ(output.summary, "2 of 2 pod(s) finished");
  EXPECT_EQ(*output.content, "`ann`: idle, work done. Its last answer:\nann's words\n\n`bob`: idle, work done. Its last answer:\nbob's words");
}

TEST_F(PodWaitTest, AnyIsOverWhenTheFirstIsDone) {
  start_at_work("ann");
  start_at_work("bob");
  wait(R"({"mode":"any"})");
  finish("bob", "bob's words");
  auto output = answer();
  EXPECT_EQ(output.summary, "1 of 2 pod(s) finished; still at work: `ann`");
  EXPECT_EQ(*output.content, "`ann`: running, still at work\n\n`bob`: idle, work done. Its last answer:\nbob's words");
}

TEST_F(PodWaitTest, WithoutNamesThoseThatWorkAreWaitedFor) {
  start_at_work("ann");
  start("idler", "pod", directory.directory("work/idler"));
  wait("{}");
  finish("ann", "done");
  EXPECT_EQ(answer().summary, "1 of 1 pod(s) finished");
  wait("{}", 2);
  EXPECT_EQ(answers.at(2).summary, "no Pod that you spawned is at work");
}

TEST_F(PodWaitTest, WhoIsDoneAlreadyIsAnsweredAtOnce) {
  start("kid", "pod", work);
  wait(R"({"names":["kid"]})");
  ASSERT_TRUE(answers.contains(1));
  EXPECT_EQ(*answers[1].content, "`kid`: idle, it had no work open when the wait began");
  (void)call(&ChildTools::stop, R"({"name":"kid"})");
  wait(R"({"names":["kid"]})", 2);
  ASSERT_TRUE(answers.contains(2));
  EXPECT_HAS(*answers[2].content, "`kid`: ended");
}

TEST_F(PodWaitTest, AnUnknownNameIsAnError) {
  start("kid", "pod", work);
  children->grandchildren().lent(*children->find("kid"), {"kid", "leaf", "/s", {}, std::nullopt});
  uint64_t id = 1;
  for (auto* arguments : {R"({"names":["nobody"]})", R"({"names":["kid","nobody"]})", R"({"names":["leaf"]})"}) {
    wait(arguments, id);
    ASSERT_TRUE(answers.contains(id)) << arguments;
    EXPECT_TRUE(answers[id].is_error);
    EXPECT_HAS(answers[id].summary, "no spawned pod named");
    ++id;
  }
}

TEST_F(PodWaitTest, AChildThatIsStillStartingIsAtWork) {
  ChildRecord record;
  record.pod_name = "kid";
  record.pod_id = "kid-id";
  children->add(record);
  wait("{}");
  EXPECT_FALSE(answers.contains(1));
  children->discard("kid-id");
  EXPECT_EQ(*answer().content, "`kid`: ended, work not done");
}

TEST_F(PodWaitTest, TheDeadlineIsNoError) {
  start_at_work("kid");
  wait(R"({"timeout_ms":1})");
  auto output = answer();
  EXPECT_FALSE(output.is_error);
  EXPECT_EQ(output.summary, "the time is up; 0 of 1 pod(s) finished; still at work: `kid`");
}

TEST_F(PodWaitTest, AMessageEndsAllWaitsAndACancelOne) {
  start_at_work("kid");
  wait("{}", 1);
  wait("{}", 2);
  wait("{}", 3);
  waits->cancel(2);
  EXPECT_TRUE(answers.at(2).is_error);
  EXPECT_HAS(answers[2].summary, "cancelled");
  waits->cancel(2);
  waits->end_all("a message to you has arrived");
  EXPECT_EQ(answers.at(1).summary, "a message to you has arrived; 0 of 1 pod(s) finished; still at work: `kid`");
  EXPECT_EQ(answers.at(3), answers.at(1));
  finish("kid", "done");
  settle();
}

TEST_F(PodWaitTest, WaitsAtTheSameTimeAreAnsweredEachForItself) {
  start_at_work("ann");
  start_at_work("bob");
  wait(R"({"names":["ann"]})", 1);
  wait(R"({"names":["bob"]})", 2);
  wait(R"({"names":["bob","ann"]})", 3);
  finish("ann", "a");
  EXPECT_EQ(answer(1).summary, "1 of 1 pod(s) finished");
  EXPECT_FALSE(answers.contains(2) || answers.contains(3));
  finish("bob", "b");
  EXPECT_EQ(answer(2).summary, "1 of 1 pod(s) finished");
  EXPECT_LT(answer(3).content->find("`bob`"), answers[3].content->find("`ann`")) << "in the order of the call";
}

TEST_F(PodWaitTest, ACrashEndsTheWait) {
  pid_t pid = start("kid", "pod", work);
  children->set_work_open("kid-id", true);
  wait("{}");
  ::kill(pid, SIGKILL);
  EXPECT_EQ(*answer().content, "`kid`: crashed, work not done");
  EXPECT_EQ(ends.size(), 1u) << "and is told by itself too";
  wait(R"({"names":["kid"]})", 2);
  EXPECT_HAS(*answers.at(2).content, "`kid`: crashed");
}

TEST_F(PodWaitTest, HowTheWorkEndedIsSaid) {
  struct Case {
    wire::PodEvent event;
    std::string text;
  };
  std::vector<Case> const cases{
      {wire::Errored{"kid", "provider\n429", "half"}, "idle, work not done: provider 429. Its last answer:\nhalf"},
      {wire::LimitReachedEvent{"kid", {}}, "idle, work not done: it reached its turn limit"},
      {wire::Interrupted{"kid", {}, true}, "paused, work not done: a person paused it and can resume it"},
      {wire::Interrupted{"kid", {}, false}, "idle, work not done: a person cancelled it"},
      {wire::TurnEnded{"kid", " \n", 0}, "idle, work done"},
  };
  start_at_work("kid");
  uint64_t id = 1;
  for (auto const& [event, text] : cases) {
    children->set_work_open("kid-id", true);
    children->set_shown_state("kid-id", "running");
    wait("{}", id);
    end_run("kid", event);
    EXPECT_EQ(*answer(id).content, "`kid`: " + text);
    ++id;
  }
}

TEST_F(PodWaitTest, AnEndThatIsNotFinalIsWaitedOver) {
  start_at_work("kid");
  wait("{}", 1);
  waits->heard("kid-id", wire::TurnEnded{"kid", "my own pods work", 1});
  children->set_shown_state("kid-id", "idle");
  waits->look_again();
  settle();
  ASSERT_FALSE(answers.contains(1));
  waits->end_all("the run was paused");
  EXPECT_EQ(*answers.at(1).content, "`kid`: idle, still at work: it waits for pods of its own");
}

TEST_F(PodWaitTest, ALongAnswerIsShortened) {
  start_at_work("kid");
  wait("{}");
  finish("kid", std::string(3'000, 'x') + "end");
  auto output = answer();
  EXPECT_LT(output.content->size(), 2'300u);
  EXPECT_HAS(*output.content, "[cut after 2 KiB of 3003 bytes; ReadPodOutput has the rest]");
}

}  // namespace
}  // namespace insomnia::pod
