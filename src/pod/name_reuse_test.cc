#include <csignal>

#include "pod/mailbox.hh"
#include "pod/spawn_fixture_test.hh"

// A name is given to one Pod after another. Whatever comes late from an earlier one must not touch the one that has the name now.
namespace insomnia::pod {
namespace {

class NameReuse : public SpawnTest {
 protected:
  void SetUp() override {
    sub = directory.directory("work/sub");
    ASSERT_FALSE(spawn(arguments("kid", "first", sub)).is_error);
    old = *children->find("kid");
    old_pid = rows()["kid"].pid;
    ::kill(old_pid, SIGKILL);
    run_until([&] { return !ends.empty(); });
    ASSERT_FALSE(spawn(arguments("kid", "second", sub)).is_error);
    kid = *children->find("kid");
    ASSERT_NE(kid.pod_id, old.pod_id);
    ASSERT_NE(kid.instance_id, old.instance_id);
    row = rows()["kid"];
    ends.clear();
  }
  /// The new one is in every respect what it was after its spawn.
  void expect_new_one_untouched() {
    EXPECT_EQ(*children->find("kid"), kid);
    EXPECT_EQ(stored_children(), std::vector{kid});
    EXPECT_TRUE(children->is_living(kid.pod_id));
    EXPECT_EQ(children->shown_state(kid.pod_id), "running");
    EXPECT_EQ(rows()["kid"], row);
    EXPECT_EQ(core->authority.effective().permission_at(sub + "/f"), scope::Permission::Read);
    EXPECT_TRUE(ends.empty());
  }

  std::string sub;
  ChildRecord old, kid;
  pid_t old_pid = 0;
  registry::Allocation row;
};

// R12: a crash and a new spawn leave one record and one loan.
TEST_F(NameReuse, AfterACrashThereIsOneRecordAndOneLoan) {
  expect_new_one_untouched();
  std::optional<Result<std::string>> stopped;
  children->stop(kid.pod_id, true, [&](Result<std::string> result) { stopped = std::move(result); });
  run_until([&] { return stopped.has_value(); });
  EXPECT_TRUE(*stopped);
  EXPECT_EQ(core->authority.effective(), core->authority.own());
  EXPECT_TRUE(stored_children().empty());
  EXPECT_EQ(rows().size(), 1u);
}

TEST_F(NameReuse, LateReportsOfTheOldOneSayNothingOfTheNewOne) {
  EXPECT_TRUE(children->may_report(old.pod_id, "kid")) << "its last letters are still taken in";
  EXPECT_EQ(children->find_by_id(old.pod_id), nullptr);
  children->set_work_open(old.pod_id, false);
  children->set_shown_state(old.pod_id, "idle");
  expect_new_one_untouched();
}

TEST_F(NameReuse, LateNewsOfTheOldOneAreNobodys) {
  wire::ScopeSubDelegated lent{"kid", "leaf", "/s", {}, old.instance_id};
  EXPECT_EQ(children->teller(old_pid, lent), nullptr);
  EXPECT_EQ(children->teller(row.pid, lent), nullptr) << "even if the process number were the same";
  lent.instance_id.reset();
  EXPECT_EQ(children->teller(old_pid, lent), nullptr);
  EXPECT_NE(children->teller(row.pid, lent), nullptr);
}

TEST_F(NameReuse, WhatIsDoneToTheOldOneIsNotDoneToTheNewOne) {
  std::optional<Result<std::string>> stopped;
  children->stop(old.pod_id, true, [&](Result<std::string> result) { stopped = std::move(result); });
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->error().code, Code::NotFound);
  children->discard(old.pod_id);
  children->give_up_restored(old.pod_id);
  children->launched(old.pod_id, ::getpid());
  core->authority.take_back(old.pod_id);
  core->registry_worker.drain();
  EXPECT_FALSE(core->registry->release(old.pod_id, old.instance_id));
  expect_new_one_untouched();
}

TEST_F(NameReuse, MailForTheOldOneDoesNotReachTheNewOne) {
  auto post = [&](std::string const& to, std::string const& text) {
    Mail letter{.to_pod_id = to, .from_pod_id = "root-id", .from_instance_id = "i", .from_pod_name = "root", .seq = 1, .event = std::nullopt, .text = text};
    ASSERT_TRUE(post_mail(paths, "kid", letter));
  };
  post(old.pod_id, "for the first");
  EXPECT_TRUE(scan_inbox(paths, "kid", kid.pod_id)->empty());
  // Numbers begin anew for each receiver: this letter has the name of that one.
  post(kid.pod_id, "for the second");
  auto letters = scan_inbox(paths, "kid", kid.pod_id);
  ASSERT_EQ(letters->size(), 1u);
  EXPECT_EQ(letters->at(0).text, "for the second");
}

}  // namespace
}  // namespace insomnia::pod
