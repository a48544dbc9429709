#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.hh"
#include "registry/contract_test.hh"

namespace insomnia::registry {
namespace {

/// The bell of one request.
class Bell {
 public:
  explicit Bell(std::string path) : path_(std::move(path)) {
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    fd_.reset(::open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  }
  std::string const& path() const { return path_; }
  /// Whether it has rung since this was asked last.
  bool rang() {
    char bytes[64];
    return ::read(fd_.get(), bytes, sizeof bytes) > 0;
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

/// The name of whom it waits for, "" when it was granted.
std::string waits_for(Registry& registry, Allocation const& row, Bell const& bell) {
  auto blocker = registry.queue(row, std::nullopt, Limits{}, bell.path());
  EXPECT_TRUE(blocker) << blocker.error().message;
  return blocker && *blocker ? (*blocker)->pod_name : "";
}

TEST_P(RegistryContract, QueueWhatIsFreeIsGrantedAtOnce) {
  Bell own(directory_ / "b.bell");
  EXPECT_EQ(waits_for(*registry_, pod("b", {write_rule("/w")}), own), "");
  EXPECT_EQ(get("b").state, AllocationState::Live);
}

TEST_P(RegistryContract, QueueWhatIsBusyIsWaitedForAndTheBellRingsWhenItIsFree) {
  add(pod("a", {write_rule("/w")}));
  Bell own(directory_ / "b.bell");
  auto blocker = registry_->queue(pod("b", {write_rule("/w/x")}), std::nullopt, Limits{}, own.path());
  ASSERT_TRUE(blocker && *blocker);
  EXPECT_EQ((*blocker)->pod_name, "a");
  EXPECT_FALSE((*blocker)->queued);
  EXPECT_EQ((*blocker)->lock_name, "a");
  EXPECT_EQ((*blocker)->lock_instance, "a-1");
  EXPECT_NE((*blocker)->description.find("task of a"), std::string::npos);
  EXPECT_EQ(names(), (std::vector<std::string>{"a"})) << "it is not there before it is granted";
  EXPECT_FALSE(own.rang());
  release("a");
  EXPECT_TRUE(own.rang());
  EXPECT_EQ(waits_for(*registry_, pod("b", {write_rule("/w/x")}), own), "");
  EXPECT_EQ(names(), (std::vector<std::string>{"b"}));
}

TEST_P(RegistryContract, QueueTheDeathOfTheHolderFreesItToo) {
  add(pod("a", {write_rule("/w")}));
  Bell own(directory_ / "b.bell");
  EXPECT_EQ(waits_for(*registry_, pod("b", {write_rule("/w")}), own), "a");
  die("a");
  EXPECT_EQ(waits_for(*registry_, pod("b", {write_rule("/w")}), own), "");
}

TEST_P(RegistryContract, QueueFirstComeFirstServed) {
  add(pod("a", {write_rule("/w")}));
  Bell first(directory_ / "b.bell"), second(directory_ / "c.bell");
  EXPECT_EQ(waits_for(*registry_, pod("b", {write_rule("/w/x")}), first), "a");
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/w")}), second), "a");
  release("a");
  EXPECT_TRUE(first.rang());
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/w")}), second), "b") << "it was there first";
  EXPECT_TRUE(failed(registry_->register_pod(pod("d", {write_rule("/w/x/y")})), Code::Conflict, {"'b'", "was there first"}));
  EXPECT_EQ(waits_for(*registry_, pod("b", {write_rule("/w/x")}), first), "");
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/w")}), second), "b") << "now it holds it";
  (void)second.rang();
  release("b");
  EXPECT_TRUE(second.rang());
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/w")}), second), "");
}

TEST_P(RegistryContract, QueueTheOrderIsThatOfComingAlsoWhenTheClockIsSetBack) {
  auto since = [](std::string const& name, int64_t ms) {
    Allocation row = pod(name, {write_rule("/w")});
    row.since_ms = ms;
    return row;
  };
  add(since("a", 3000));
  Bell first(directory_ / "b.bell"), second(directory_ / "c.bell");
  EXPECT_EQ(waits_for(*registry_, since("b", 2000), first), "a");
  EXPECT_EQ(waits_for(*registry_, since("c", 1000), second), "a");
  release("a");
  EXPECT_EQ(waits_for(*registry_, since("c", 1000), second), "b");
  EXPECT_EQ(waits_for(*registry_, since("b", 2000), first), "");
}

TEST_P(RegistryContract, QueueDisjointPathsWaitForNobody) {
  add(pod("a", {write_rule("/w")}));
  Bell first(directory_ / "b.bell"), second(directory_ / "c.bell");
  EXPECT_EQ(waits_for(*registry_, pod("b", {write_rule("/w/x")}), first), "a");
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/v"), read_rule("/w")}), second), "");
  release("c");
  EXPECT_FALSE(first.rang()) << "nothing that it waits for has changed";
}

TEST_P(RegistryContract, QueueWhoGivesUpMakesRoomForTheNext) {
  add(pod("a", {write_rule("/w/a")}));
  Bell first(directory_ / "b.bell"), second(directory_ / "c.bell");
  EXPECT_EQ(waits_for(*registry_, pod("b", {write_rule("/w")}), first), "a");
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/w/c")}), second), "b");
  ASSERT_TRUE(registry_->leave_queue("b-id"));
  EXPECT_TRUE(second.rang());
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/w/c")}), second), "");
  EXPECT_TRUE(registry_->leave_queue("nobody"));
}

TEST_P(RegistryContract, QueueTheDeadLoseTheirPlace) {
  add(pod("a", {write_rule("/w/a")}));
  Bell first(directory_ / "b.bell"), second(directory_ / "c.bell");
  EXPECT_EQ(waits_for(*registry_, pod("b", {write_rule("/w")}), first), "a");
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/w/c")}), second), "b");
  die("b");
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/w/c")}), second), "");
}

TEST_P(RegistryContract, QueueThePlaceOfADeadInstanceIsNotThatOfTheNextOne) {
  add(pod("a", {write_rule("/w")}));
  Bell first(directory_ / "b.bell"), second(directory_ / "c.bell"), again(directory_ / "b2.bell");
  EXPECT_EQ(waits_for(*registry_, pod("b", {write_rule("/w/x")}), first), "a");
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/w/y")}), second), "a");
  die("b");
  Allocation next = pod("b", {write_rule("/w/y")});
  next.instance_id = "b-2";
  EXPECT_EQ(waits_for(*registry_, next, again), "a");
  // Whoever meets the place of a dead instance removes it.
  EXPECT_TRUE(failed(registry_->register_pod(pod("d", {write_rule("/w/x")})), Code::Conflict, {"'a'"}));
  release("a");
  EXPECT_TRUE(again.rang());
  EXPECT_EQ(waits_for(*registry_, next, again), "c") << "it comes after those that were there when it came";
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/w/y")}), second), "");
  EXPECT_TRUE(registry_->register_pod(pod("d", {write_rule("/w/x")}))) << "nobody waits for what the dead one wanted";
}

TEST_P(RegistryContract, QueueAHolderMayLendPartsOfWhatOthersWaitFor) {
  add(pod("a", {write_rule("/w")}));
  Bell own(directory_ / "b.bell");
  EXPECT_EQ(waits_for(*registry_, pod("b", {write_rule("/w")}), own), "a");
  EXPECT_TRUE(delegate(child("a", "kid", {write_rule("/w/x")})));
}

TEST_P(RegistryContract, QueueASpawnerWaitsForItsOwnChild) {
  add(pod("a", {write_rule("/w")}));
  spawn(child("a", "kid", {write_rule("/w/x")}));
  Bell own(directory_ / "next.bell");
  Allocation next = child("a", "next", {write_rule("/w/x/y")});
  EXPECT_EQ(waits_for(*registry_, next, own), "kid");
  EXPECT_TRUE(failed(delegate(child("a", "third", {write_rule("/w/x/y/z")})), Code::Conflict, {"'kid'"}));
  release("kid");
  EXPECT_TRUE(own.rang());
  EXPECT_TRUE(failed(delegate(child("a", "third", {write_rule("/w/x/y/z")})), Code::Conflict, {"'next'", "was there first"}));
  EXPECT_EQ(waits_for(*registry_, next, own), "");
  EXPECT_EQ(get("next").state, AllocationState::Reserved);
  EXPECT_EQ(parent("next"), "a");
}

TEST_P(RegistryContract, QueueARequestThatMayNotBeLosesItsPlace) {
  add(pod("a", {write_rule("/w")}));
  spawn(child("a", "kid", {write_rule("/w/x")}));
  Bell own(directory_ / "next.bell");
  EXPECT_EQ(waits_for(*registry_, child("a", "next", {write_rule("/w/x")}), own), "kid");
  auto refused = registry_->queue(child("a", "next", {write_rule("/elsewhere")}), std::nullopt, Limits{}, own.path());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::PermissionDenied);
  release("kid");
  EXPECT_TRUE(delegate(child("a", "third", {write_rule("/w/x")}))) << "nobody is before it";
}

TEST_P(RegistryContract, QueueACircleOfWaitingIsRefusedAtOnce) {
  add(pod("a", {write_rule("/a")}));
  add(pod("b", {write_rule("/b")}));
  scope::ScopeConfig anywhere{{write_rule("/")}, {}};
  Bell first(directory_ / "a-kid.bell"), second(directory_ / "b-kid.bell");
  auto waits = registry_->queue(child("a", "a-kid", {write_rule("/b/x")}), anywhere, Limits{}, first.path());
  ASSERT_TRUE(waits && *waits);
  EXPECT_EQ((*waits)->pod_name, "b");
  auto refused = registry_->queue(child("b", "b-kid", {write_rule("/a/x")}), anywhere, Limits{}, second.path());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Conflict);
  EXPECT_NE(refused.error().message.find("deadlock"), std::string::npos) << refused.error().message;
  EXPECT_EQ(waits_for(*registry_, pod("c", {write_rule("/c")}), Bell(directory_ / "c.bell")), "") << "others are not concerned";
}

TEST_P(RegistryContract, QueueWaitingForWhatWaitsBelowIsACircleToo) {
  add(pod("a", {write_rule("/a")}));
  add(pod("b", {write_rule("/b")}));
  spawn(child("b", "b-kid", {write_rule("/b/k")}));
  scope::ScopeConfig anywhere{{write_rule("/")}, {}};
  auto waits = registry_->queue(child("b-kid", "grandkid", {write_rule("/a/x")}), anywhere, Limits{}, Bell(directory_ / "g.bell").path());
  ASSERT_TRUE(waits && *waits) << "b-kid waits for a";
  auto refused = registry_->queue(child("a", "a-kid", {write_rule("/b/x")}), anywhere, Limits{}, Bell(directory_ / "k.bell").path());
  ASSERT_FALSE(refused) << "b ends after its child, which waits for a";
  EXPECT_NE(refused.error().message.find("deadlock"), std::string::npos);
}

TEST_P(RegistryContract, QueueWaitingForTheOwnAncestorIsACircle) {
  add(pod("a", {write_rule("/a")}));
  spawn(child("a", "kid", {write_rule("/a/k")}));
  scope::ScopeConfig anywhere{{write_rule("/")}, {}};
  auto refused = registry_->queue(child("kid", "grandkid", {write_rule("/a/other")}), anywhere, Limits{}, Bell(directory_ / "g.bell").path());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("deadlock"), std::string::npos);
}

}  // namespace
}  // namespace insomnia::registry
