#include "pod/children.hh"

#include <boost/json.hpp>
#include <csignal>

#include "base/json.hh"
#include "pod/children_fixture_test.hh"
#include "pod/mailbox.hh"

namespace insomnia::pod {
namespace {

// Case 108.
TEST_F(ChildrenTest, StopGivesTheScopeBackAfterProvenDeath) {
  pid_t pid = start("kid", "pod", work);
  auto output = call(&ChildTools::stop, R"({"name":"kid"})");
  EXPECT_FALSE(output.is_error) << output.summary;
  EXPECT_HAS(output.summary, "stopped `kid`");
  EXPECT_HAS(output.summary, "write:" + work);
  EXPECT_EQ(::kill(pid, 0), -1) << "dead and reaped";
  EXPECT_EQ(child_file("kid", "shutdowns.log"), R"({"method":"shutdown","params":{"tree":true}})" "\n");
  EXPECT_EQ(rows().size(), 1u);
  EXPECT_EQ(core->authority.effective(), core->authority.own());
  EXPECT_TRUE(stored().spawned_children.empty());
  ASSERT_EQ(stored().reclaimed_children.size(), 1u);
  EXPECT_EQ(stored().reclaimed_children[0].scope_delegated, std::vector{write_rule(work)});
  EXPECT_TRUE(ends.empty()) << "an expected end wakes nobody";
  EXPECT_FALSE(call(&ChildTools::stop, R"({"name":"kid"})").is_error) << "stopping again is fine";
}

// Case 109: who cannot be reached is stopped all the same.
TEST_F(ChildrenTest, AChildWhoseSocketIsGoneIsStoppedBySignals) {
  start("kid", "pod", work);
  ASSERT_EQ(::unlink(paths.pod_socket("kid").c_str()), 0);
  EXPECT_FALSE(call(&ChildTools::stop, R"({"name":"kid"})").is_error);
  EXPECT_EQ(rows().size(), 1u);
}

// A crash is told of with status and the scope comes back.
TEST_F(ChildrenTest, AKilledChildIsACrashAndItsScopeComesBack) {
  pid_t pid = start("kid", "pod", work);
  ::kill(pid, SIGKILL);
  run_until([&] { return !ends.empty(); });
  EXPECT_EQ(std::get<wire::Crashed>(ends.at(0)).exit_status, "killed by signal 9 (Killed)");
  EXPECT_EQ(scans, 1) << "its last letters come first";
  EXPECT_EQ(rows().size(), 1u);
  EXPECT_EQ(core->authority.effective(), core->authority.own());
}

TEST_F(ChildrenTest, LettersOfAChildThatHasGoneAreStillTaken) {
  ::kill(start("kid", "pod", work), SIGKILL);
  run_until([&] { return !children->any_living(); });
  EXPECT_TRUE(children->may_report("kid-id", "kid"));
  EXPECT_TRUE(children->may_report("kid-instance", "kid"));
  EXPECT_FALSE(children->may_report("kid-id", "another"));
  EXPECT_FALSE(children->may_report("", "kid"));
}

// A grandchild that outlives the Pod between keeps what it holds.
TEST_F(ChildrenTest, AGrandchildThatIsLeftIsAChildAndKeepsItsScope) {
  std::string sub = directory.directory("work/sub");
  pid_t middle = start("middle", "pod", work);
  loop::Child leaf = start_below("middle", "leaf", sub);
  ::kill(middle, SIGKILL);
  run_until([&] { return !ends.empty(); });
  EXPECT_FALSE(core->authority.effective().is_writable(sub + "/f"));
  EXPECT_TRUE(core->authority.effective().is_writable(work + "/f"));
  ASSERT_NE(children->find("leaf"), nullptr);
  EXPECT_TRUE(children->is_living("leaf-id"));
  ::kill(leaf.pid(), SIGKILL);
  run_until([&] { return !children->is_living("leaf-id"); });
  EXPECT_EQ(core->authority.effective(), core->authority.own());
}

// Case 111, 112: after a restart the living stay and the gone are taken in.
TEST_F(ChildrenTest, RecoverKeepsTheLivingAndTakesInTheGone) {
  std::string one = directory.directory("work/one");
  std::string two = directory.directory("work/two");
  start("alive", "pod", one);
  pid_t gone = start("gone", "pod", two);
  ::kill(gone, SIGKILL);
  restart_children();
  run_until([&] { return core->state.spawned_children.size() == 1; });
  EXPECT_TRUE(children->is_living("alive-id"));
  EXPECT_FALSE(core->authority.effective().is_writable(one + "/f"));
  EXPECT_TRUE(core->authority.effective().is_writable(two + "/f"));
  EXPECT_EQ(stored().reclaimed_children.size(), 1u);
}

// A spawn that its Pod did not live to see is no end that anybody waits for.
TEST_F(ChildrenTest, ARecordThatNeverGotReadyGoesSilently) {
  ChildRecord record;
  record.pod_name = "never";
  record.pod_id = "never-id";
  record.instance_id = "never-instance";
  core->state.spawned_children.push_back(record);
  children->recover();
  run_until([&] { return core->state.spawned_children.empty(); });
  EXPECT_TRUE(ends.empty());
}

TEST_F(ChildrenTest, AStartingChildCannotBeStopped) {
  ChildRecord record;
  record.pod_name = "kid";
  record.pod_id = "kid-id";
  children->add(record);
  EXPECT_HAS(call(&ChildTools::stop, R"({"name":"kid"})").summary, "still starting");
  children->discard("kid-id");
}

// Case 103: a message is a durable letter, then a poke.
TEST_F(ChildrenTest, SendPutsALetterIntoTheInboxAndPokes) {
  start("kid", "pod", work);
  auto output = call(&ChildTools::send, R"({"name":"kid","message":"more"})");
  ASSERT_FALSE(output.is_error) << output.summary;
  auto letters = scan_inbox(paths, "kid", "kid-id");
  ASSERT_EQ(letters->size(), 1u);
  EXPECT_EQ(letters->at(0).text, "more");
  EXPECT_EQ(letters->at(0).seq, 1u);
  EXPECT_TRUE(children->any_working());
  run_until([&] { return child_file("kid", "pokes.log") == "poke\n"; });
  EXPECT_EQ(stored().spawned_children[0].mail_seq, 1u);
}

// What a child says is reported on to the own parent when its work was a part of what that one gave, also after its end and its restore.
TEST_F(ChildrenTest, NewsOfAChildConcernTheParentWhoseWorkItDoes) {
  wire::TurnEnded const report{"kid", "done"};
  wire::Crashed const crash{"kid", "killed", std::nullopt};
  works_for_parent = true;
  start("kid", "pod", work);
  works_for_parent = false;
  children->set_work_open("kid-id", true);
  EXPECT_EQ(children->working_for_parent(), 1u);
  EXPECT_TRUE(children->concerns_parent("kid-id", report));
  EXPECT_TRUE(children->concerns_parent("kid-instance", crash)) << "it was at work";
  children->set_work_open("kid-id", false);
  EXPECT_EQ(children->working_for_parent(), 0u);
  EXPECT_TRUE(children->concerns_parent("kid-id", report)) << "a report is of work by itself";
  EXPECT_FALSE(children->concerns_parent("kid-instance", crash)) << "its work was done";
  EXPECT_FALSE(children->concerns_parent("other-id", report));
  EXPECT_FALSE(children->concerns_parent("", report));
  EXPECT_FALSE(call(&ChildTools::stop, R"({"name":"kid"})").is_error);
  EXPECT_TRUE(children->concerns_parent("kid-id", report)) << "its last letter may come after its end";
  EXPECT_TRUE(stored().reclaimed_children.at(0).for_parent);
}

TEST_F(ChildrenTest, NewWorkOfAnotherOriginDoesNotConcernTheParent) {
  works_for_parent = true;
  start("kid", "pod", work);
  works_for_parent = false;
  children->set_work_open("kid-id", true);
  ASSERT_FALSE(call(&ChildTools::send, R"({"name":"kid","message":"more"})").is_error);
  EXPECT_EQ(children->working_for_parent(), 1u) << "what it had is still to be done";
  children->set_work_open("kid-id", false);
  ASSERT_FALSE(call(&ChildTools::send, R"({"name":"kid","message":"of our own"})").is_error);
  EXPECT_TRUE(children->any_working());
  EXPECT_EQ(children->working_for_parent(), 0u);
}

TEST_F(ChildrenTest, AChildWhoseLifeCannotBeFoundOutKeepsItsScope) {
  pid_t pid = start("kid", "pod", work);
  std::string lock = paths.pod_lock("kid");
  ASSERT_EQ(::rename(lock.c_str(), (lock + ".kept").c_str()), 0);
  ASSERT_EQ(::symlink(lock.c_str(), lock.c_str()), 0);  // can't be opened
  restart_children();
  EXPECT_TRUE(children->is_living("kid-id"));
  EXPECT_EQ(core->authority.effective().permission_at(work + "/f"), scope::Permission::Read) << "it is lent";
  EXPECT_EQ(rows().count("kid"), 1u);
  ASSERT_EQ(::unlink(lock.c_str()), 0);
  ASSERT_EQ(::rename((lock + ".kept").c_str(), lock.c_str()), 0);
  // Looked at again, it is watched: its end is seen.
  ::kill(pid, SIGKILL);
  run_until([&] { return !ends.empty(); });
  EXPECT_EQ(core->authority.effective().permission_at(work + "/f"), scope::Permission::Write);
}

TEST_F(ChildrenTest, ANumberIsNeverUsedTwiceAlsoForAChildThatWasForgotten) {
  start("kid", "pod", work);
  ASSERT_FALSE(call(&ChildTools::send, R"({"name":"kid","message":"one"})").is_error);
  EXPECT_FALSE(call(&ChildTools::stop, R"({"name":"kid"})").is_error);
  core->state.reclaimed_children.clear();  // only the last hundred are kept
  core->persist();
  start("kid", "pod", work);
  ASSERT_FALSE(call(&ChildTools::send, R"({"name":"kid","message":"two"})").is_error);
  auto letters = scan_inbox(paths, "kid", "kid-id");
  EXPECT_EQ(letters->back().seq, 2u);
}

TEST_F(ChildrenTest, WithoutItsNumberOnDiskAMessageIsNotSent) {
  start("kid", "pod", work);
  core->log_worker.drain();
  std::string state = paths.pod_dir("root") + "/metadata.json";
  ASSERT_EQ(::rename(state.c_str(), (state + ".kept").c_str()), 0);
  ASSERT_TRUE(io::make_directories(state + "/in the way"));
  auto output = call(&ChildTools::send, R"({"name":"kid","message":"one"})");
  EXPECT_TRUE(output.is_error);
  EXPECT_HAS(output.summary, "was not sent");
  EXPECT_TRUE(scan_inbox(paths, "kid", "kid-id").value_or(std::vector<Mail>{}).empty());
  EXPECT_FALSE(children->any_working());
}

TEST_F(ChildrenTest, ALetterThatCannotBePostedIsNotWaitedFor) {
  start("kid", "pod", work);
  ASSERT_TRUE(io::make_directories(paths.pod_dir("kid")));
  ASSERT_TRUE(io::replace_file(paths.pod_dir("kid") + "/inbox", "in the way"));
  EXPECT_TRUE(call(&ChildTools::send, R"({"name":"kid","message":"more"})").is_error);
  EXPECT_FALSE(children->any_working());
}

// Case 104.
TEST_F(ChildrenTest, OnlyOwnChildrenCanBeAddressed) {
  for (auto tool : {&ChildTools::read_output, &ChildTools::stop}) EXPECT_HAS(call(tool, R"({"name":"nobody"})").summary, "no spawned pod");
  EXPECT_HAS(call(&ChildTools::send, R"({"name":"nobody","message":"x"})").summary, "no spawned pod");
}

// Case 106.
TEST_F(ChildrenTest, ReadPodOutputGivesNewTextOnce) {
  start("kid", "pod", work);
  auto first = call(&ChildTools::read_output, R"({"name":"kid"})");
  ASSERT_TRUE(first.content);
  EXPECT_EQ(*first.content, "first words\n\nlast words");
  auto second = call(&ChildTools::read_output, R"({"name":"kid"})");
  EXPECT_FALSE(second.content);
  EXPECT_HAS(second.summary, "no new assistant text");
}

// Case 107.
TEST_F(ChildrenTest, ReadPodOutputOfAnEndedChildSaysSo) {
  start("kid", "pod", work);
  (void)call(&ChildTools::stop, R"({"name":"kid"})");
  EXPECT_HAS(call(&ChildTools::read_output, R"({"name":"kid"})").summary, "stopped");
}

// Case 134, 135.
TEST_F(ChildrenTest, ListShowsTheOwnPodAndItsChildrenByName) {
  start("kid", "pod", directory.directory("work/a"));
  start("aunt", "pod", directory.directory("work/b"));
  ASSERT_EQ(::unlink(paths.pod_socket("kid").c_str()), 0);
  std::optional<tools::Output> answer;
  tools->list([&](tools::Output output) { answer = std::move(output); });
  run_until([&] { return answer.has_value(); });
  EXPECT_HAS(answer->summary, "3 visible");
  std::string const& text = *answer->content;
  EXPECT_LT(text.find("\"aunt\""), text.find("\"kid\""));
  EXPECT_HAS(text, "\"reachable\": true");
  EXPECT_HAS(text, "\"reachable\": false");
}

TEST_F(ChildrenTest, ListShowsThoseThatHaveEndedAndWhetherTheyCanComeBack) {
  start("kid", "pod", work);
  (void)call(&ChildTools::stop, R"({"name":"kid"})");
  auto listed = [&] {
    std::optional<tools::Output> answer;
    tools->list([&](tools::Output output) { answer = std::move(output); });
    run_until([&] { return answer.has_value(); });
    return json::parse(*answer->content)->as_array().at(0).as_object();
  };
  auto kid = listed();
  EXPECT_EQ(kid["pod_name"], "kid");
  EXPECT_EQ(kid["state"], "missing") << "the fake child stores nothing";
  EXPECT_EQ(kid["live"].as_object()["reachable"], false);
  EXPECT_EQ(kid["restore"].as_object()["possible"], false);

  PodState stored;
  stored.pod_name = "kid";
  stored.pod_id = "kid-id";
  stored.session_id = "01890000-0000-7000-8000-000000000001";
  stored.segment_id = "01890000-0000-7000-8000-000000000002";
  ASSERT_TRUE(io::make_directories(paths.sessions_dir() + "/" + stored.session_id));
  ASSERT_TRUE(io::replace_file(paths.sessions_dir() + "/" + stored.session_id + "/" + stored.segment_id + ".jsonl", ""));
  ASSERT_TRUE(write_pod_state(paths, stored));
  kid = listed();
  EXPECT_EQ(kid["state"], "readable");
  EXPECT_EQ(kid["active"].as_object()["segment_id"].as_string(), stored.segment_id);
  EXPECT_EQ(kid["restore"].as_object()["possible"], true);

  stored.pod_id = "a later kid";
  ASSERT_TRUE(write_pod_state(paths, stored));
  kid = listed();
  EXPECT_EQ(kid["restore"].as_object()["possible"], false);
  EXPECT_EQ(kid["restore"].as_object()["reason"], "the name is another Pod's by now");

  ASSERT_TRUE(io::replace_file(paths.pod_dir("kid") + "/metadata.json", "{ torn"));
  EXPECT_EQ(listed()["state"], "corrupt");
}

}  // namespace
}  // namespace insomnia::pod
