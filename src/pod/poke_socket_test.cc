#include "pod/poke_socket.hh"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cstring>

#include "pod/fixture_test.hh"
#include "wire/method.hh"

namespace insomnia::pod {
namespace {

class PokeSocketTest : public PodTest {
 protected:
  void SetUp() override {
    auto bound = PokeSocket::bind(loop, path,
                                  {.poked = [this] { ++pokes; },
                                   .told = [this](pid_t sender, wire::PodEvent const& event) { told.emplace_back(sender, event); }});
    ASSERT_TRUE(bound) << bound.error().message;
    socket = *std::move(bound);
  }
  /// One datagram as it is; false when it was not taken.
  bool send_raw(std::string const& bytes) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return ::sendto(fd.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&address), sizeof address) >= 0;
  }
  static wire::PodEvent event(int number) { return wire::ScopeReturned{"kid", "grandkid-" + std::to_string(number), {}, "kid-instance"}; }

  std::string pod_socket = directory / "sock";
  std::string path = poke_path(pod_socket);
  std::unique_ptr<PokeSocket> socket;
  PokeSender sender{loop};
  int pokes = 0;
  std::vector<std::pair<pid_t, wire::PodEvent>> told;
};

TEST_F(PokeSocketTest, LiesBesideTheStreamSocketIsPrivateAndGoes) {
  EXPECT_EQ(path, directory / "poke");
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  socket.reset();
  EXPECT_FALSE(io::exists(path));
}

TEST_F(PokeSocketTest, AStaleFileIsReplaced) {
  socket.reset();
  ASSERT_TRUE(io::replace_file(path, "left over"));
  SetUp();
  sender.poke(pod_socket);
  run_until([&] { return pokes == 1; });
}

TEST_F(PokeSocketTest, APathThatIsTooLongIsRefusedWithTheWayOut) {
  auto bound = PokeSocket::bind(loop, directory / std::string(120, 'x'), {});
  ASSERT_FALSE(bound);
  EXPECT_HAS(bound.error().message, "INSOMNIA_RUNTIME_DIR");
  sender.poke(directory / (std::string(120, 'x') + "/sock"));  // is no harm
}

TEST_F(PokeSocketTest, PokesThatComeTogetherAreOneLookIntoTheInbox) {
  for (int i = 0; i < 3; ++i) sender.poke(pod_socket);
  run_until([&] { return pokes > 0; });
  EXPECT_EQ(pokes, 1);
  EXPECT_TRUE(told.empty());
}

TEST_F(PokeSocketTest, AnEventComesWithTheProcessThatSentIt) {
  sender.tell(pod_socket, event(1));
  run_until([&] { return told.size() == 1; });
  EXPECT_EQ(told[0], std::pair(::getpid(), event(1)));
  pid_t other = ::fork();
  if (other == 0) ::_exit(send_raw(wire::encode_method({wire::PodEventMethod{event(2)}, std::nullopt})) ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(other, &status, 0), other);
  ASSERT_EQ(status, 0);
  run_until([&] { return told.size() == 2; });
  EXPECT_EQ(told[1], std::pair(other, event(2))) << "also when it has ended";
}

TEST_F(PokeSocketTest, NothingButPokesAndEventsIsTaken) {
  for (auto* line : {"", "rubbish", R"({"method":"shutdown"})", R"({"method":"run","params":{"input":[]}})", "\xff\xfe", "[]",
                     "{\"method\":\"poke\"}\n{\"method\":\"shutdown\"}"}) {
    ASSERT_TRUE(send_raw(line));
  }
  ASSERT_TRUE(send_raw(wire::encode_method({wire::PodEventMethod{event(1)}, std::nullopt}) + std::string(kMaxPoke, ' '))) << "too long";
  sender.tell(pod_socket, event(2));
  run_until([&] { return !told.empty(); });
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].second, event(2));
}

TEST_F(PokeSocketTest, AFullQueueCostsAPokeNothingAndAnEventOnlyTime) {
  int sent = 0;
  while (sent < 5'000 && send_raw("rubbish")) ++sent;
  ASSERT_LT(sent, 5'000) << "the queue has no end";
  sender.poke(pod_socket);
  run_until([&] { return pokes > 0; });  // for the rubbish
  while (send_raw("rubbish")) {
  }
  for (int i = 0; i < 5; ++i) sender.tell(pod_socket, event(i));
  run_until([&] { return told.size() == 5; });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(told[static_cast<size_t>(i)].second, event(i)) << "in their order";
}

TEST_F(PokeSocketTest, WhoIsNotThereIsToldNothing) {
  sender.poke(directory / "nobody/sock");
  sender.tell(directory / "nobody/sock", event(1));
  ASSERT_TRUE(io::replace_file(directory / "file/poke", "") || io::make_directories(directory / "file"));
  sender.poke(pod_socket);
  run_until([&] { return pokes == 1; });
  EXPECT_TRUE(told.empty());
}

TEST_F(PokeSocketTest, AnEventWhoseRulesAreTooManyComesWithoutThem) {
  wire::ScopeSubDelegated many{"kid", "grandkid", "/s", {}, "kid-instance"};
  for (int i = 0; i < 3'000; ++i) many.scope.push_back(write_rule("/some/where/in/a/tree/with/long/names/number/" + std::to_string(i)));
  sender.tell(pod_socket, many);
  run_until([&] { return told.size() == 1; });
  many.scope.clear();
  EXPECT_EQ(told[0].second, wire::PodEvent(many));
}

}  // namespace
}  // namespace insomnia::pod
