#include <algorithm>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "base/io.hh"
#include "e2e.hh"
#include "pod/mailbox.hh"
#include "pod/poke_socket.hh"
#include "pod/store.hh"

namespace insomnia::e2e {
namespace {

/// What Pods tell one another beside their mail, and who is believed.
class PodNews : public E2e {
 protected:
  PodNews() {
    home.write("left/old.txt", "left\n");
    home.write("left/deep/old.txt", "deep\n");
  }
  void start_worker() {
    answer_with(server, "TASK", [](Conversation const&) { return text_reply("Ready."); });
    ASSERT_TRUE(ended_with(0, home.run({"run", "TASK", "--name", "worker", "--keep"})));
  }
  bool send_datagram(std::string const& bytes) const {
    std::string path = pod::poke_path(home.paths().pod_socket("worker"));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return ::sendto(fd.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&address), sizeof address) >= 0;
  }
  std::string stderr_of(std::string const& pod) const {
    auto text = io::read_file(home.paths().pod_runtime_dir(pod) + "/stderr.log");
    return text ? *text : "<none>";
  }
};

TEST_F(PodNews, APokeAloneMakesAPodReadItsMail) {
  start_worker();
  PodClient client(home.paths().pod_socket("worker"));
  auto snapshot = client.wait_for_kind<wire::SnapshotEvent>();
  ASSERT_TRUE(snapshot);
  ASSERT_TRUE(pod::post_mail(home.paths(), "worker",
                             {.to_pod_id = snapshot->greeting.pod_id,
                              .from_pod_id = "somebody",
                              .from_instance_id = "",
                              .from_pod_name = "",
                              .seq = 1,
                              .event = std::nullopt,
                              .text = "You have mail."}));
  ASSERT_TRUE(send_datagram("{\"method\":\"poke\"}\n"));
  auto message = client.wait_for_kind<wire::UserMessageEvent>();
  ASSERT_TRUE(message);
  EXPECT_EQ(wire::flatten(message->segments), "You have mail.");
  ASSERT_TRUE(client.wait_for_kind<wire::RunEndEvent>());
  std::string path = pod::poke_path(home.paths().pod_socket("worker"));
  EXPECT_TRUE(io::exists(path));
  ASSERT_TRUE(ended_with(0, home.run({"stop", "worker"})));
  EXPECT_FALSE(io::exists(path)) << "it goes with the Pod";
}

// Who tells something in the name of a child must be its process.
TEST_F(PodNews, EventsOfStrangersAreDroppedOnBothSockets) {
  start_worker();
  std::string forged = R"({"method":"pod_event","params":{"kind":"scope_sub_delegated","parent_pod":"worker","sub_pod":"forged","sub_socket":"/s","scope":[]}})";
  ASSERT_TRUE(send_datagram(forged));
  ASSERT_TRUE(send_datagram("rubbish"));
  ASSERT_TRUE(send_datagram(R"({"method":"shutdown"})"));
  PodClient client(home.paths().pod_socket("worker"));
  ASSERT_TRUE(client.wait_for_kind<wire::SnapshotEvent>());
  ASSERT_TRUE(client.send_bytes(forged + "\n"));
  // What was sent before the run has been read when the run has ended.
  ASSERT_TRUE(send_datagram("{\"method\":\"poke\"}"));
  ASSERT_TRUE(client.send(wire::RunMethod{wire::text_segments("TASK again")}));
  ASSERT_TRUE(client.wait_for_kind<wire::RunEndEvent>());
  ASSERT_TRUE(client.send(wire::ListPodsMethod{}));
  auto pods = client.wait_for_kind<wire::PodsListedEvent>();
  ASSERT_TRUE(pods);
  EXPECT_FALSE(contains(pods->pods, "forged"));
  std::string text = stderr_of("worker");
  std::string warning = "sent a pod_event in the name of `worker`";
  ASSERT_TRUE(has(text, warning));
  EXPECT_NE(text.find(warning), text.rfind(warning)) << "twice: " << text;
  EXPECT_TRUE(has(text, "what is no poke, pod_event or exec"));
  ASSERT_TRUE(ended_with(0, home.run({"stop", "worker"})));
}

// Not only the direct parent learns that a Pod has ended.
TEST_F(PodNews, TheEndOfAGrandchildReachesTheTop) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + home.file("left")})}});
    if (conversation.was_told("it is there") && conversation.calls.size() == 1) return tool_reply({{"l1", "ListPods", "{}"}});
    if (conversation.was_told("it is there") && conversation.calls.size() == 2) {
      return tool_reply({{"m1", "SendToPod", arguments({{"name", "kid"}, {"message", "End it."}})}});
    }
    if (conversation.was_told("it is gone") && conversation.calls.size() == 3) return tool_reply({{"l2", "ListPods", "{}"}});
    return text_reply(conversation.calls.size() == 4 ? "Seen." : "I wait.");
  });
  answer_with(server, "CHILD", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) {
      return tool_reply({{"s1", "SpawnPod", spawn_arguments("grandkid", "SMALL", {"write:" + home.file("left/deep")})}});
    }
    if (conversation.was_told("End it.") && conversation.calls.size() == 1) {
      return tool_reply({{"x1", "StopPod", arguments({{"name", "grandkid"}})}});
    }
    if (conversation.calls.size() == 2) return text_reply("it is gone");
    return text_reply(conversation.was_told("small one is done") ? "it is there" : "I wait.");
  });
  answer_with(server, "SMALL", [](Conversation const&) { return text_reply("small one is done"); });
  ASSERT_TRUE(ended_with(0, home.run({"run", "PARENT", "--name", "boss", "--keep"})));
  auto parent = last_conversation(server, "PARENT");
  EXPECT_TRUE(has(parent.result("l1"), "\"grandkid\""));
  EXPECT_TRUE(has(parent.result("l2"), "\"kid\""));
  EXPECT_FALSE(contains(parent.result("l2"), "grandkid"));
  EXPECT_FALSE(parent.was_told("scope")) << "the model is not told";
  ASSERT_TRUE(ended_with(0, home.run({"stop", "boss", "--tree"})));
  auto state = pod::read_pod_state(home.paths(), "boss");
  ASSERT_TRUE(state && *state);
  EXPECT_TRUE((*state)->spawned_children.empty());
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(PodNews, AGrandchildThatEndedWhileTheTopWasGoneIsForgottenAtItsStart) {
  answer_with(server, "PARENT", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) return tool_reply({{"s1", "SpawnPod", spawn_arguments("kid", "CHILD", {"write:" + home.file("left")})}});
    return text_reply("I wait.");
  });
  answer_with(server, "CHILD", [&](Conversation const& conversation) {
    if (conversation.calls.empty()) {
      return tool_reply({{"s1", "SpawnPod", spawn_arguments("grandkid", "SMALL", {"write:" + home.file("left/deep")})}});
    }
    return text_reply(conversation.was_told("small one is done") ? "it is there" : "I wait.");
  });
  answer_with(server, "SMALL", [](Conversation const&) { return text_reply("small one is done"); });
  ASSERT_TRUE(ended_with(0, home.run({"run", "PARENT", "--name", "boss", "--keep"})));
  auto knows_grandkid = [&] {
    auto state = pod::read_pod_state(home.paths(), "boss");
    if (!state || !*state) return false;
    return std::ranges::any_of((*state)->spawned_children, [](auto const& child) { return child.pod_name == "grandkid"; });
  };
  EXPECT_TRUE(knows_grandkid());
  pid_t boss = home.pid_of("boss");
  ::kill(boss, SIGKILL);
  ASSERT_TRUE(testing::wait_for_death(boss));
  ASSERT_TRUE(ended_with(0, home.run({"stop", "grandkid"})));
  EXPECT_TRUE(knows_grandkid());
  ASSERT_TRUE(ended_with(0, home.run({"run", "PARENT goes on", "--name", "boss", "--keep"})));
  ASSERT_TRUE(ended_with(0, home.run({"stop", "boss", "--tree"})));
  EXPECT_FALSE(knows_grandkid());
}

}  // namespace
}  // namespace insomnia::e2e
