#include "http/client.hh"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.hh"
#include "http/proxy.hh"

// What needs a server is tested in src/testing/http_client_test.cc.
namespace insomnia::http {
namespace {

struct Recorder : Handler {
  explicit Recorder(loop::EventLoop& event_loop) : loop(event_loop) {}
  void on_response(Response const&) override { ADD_FAILURE() << "no response was expected"; }
  void on_body(std::string_view) override { ADD_FAILURE() << "no body was expected"; }
  void on_done(std::optional<Failure> result) override {
    failure = std::move(result);
    loop.stop();
  }
  loop::EventLoop& loop;
  std::optional<Failure> failure;
};

std::optional<Failure> run(Request request) {
  SystemClock clock;
  loop::EventLoop loop(clock);
  Environment environment;
  Client client(loop, environment);
  Recorder recorder(loop);
  auto transfer = client.start(std::move(request), recorder);
  EXPECT_FALSE(recorder.failure) << "the handler was called before start() returned";
  loop.run();
  return recorder.failure;
}

uint16_t dead_port() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  return ntohs(address.sin_port);
}

TEST(HttpClient, ADeadPortFailsInThePhaseConnectAndNamesTheUrlWithoutSecrets) {
  auto failure = run({.url = "http://user:pass@127.0.0.1:" + std::to_string(dead_port()) + "/path?key=secret"});
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->phase, Phase::Connect);
  EXPECT_FALSE(failure->timeout);
  EXPECT_EQ(failure->error.code, Code::Unavailable);
  EXPECT_NE(failure->error.message.find("/path: "), std::string::npos) << failure->error.message;
  EXPECT_EQ(failure->error.message.find("secret"), std::string::npos) << failure->error.message;
  EXPECT_EQ(failure->error.message.find("pass@"), std::string::npos) << failure->error.message;
}

TEST(HttpClient, RefusesAnUrlThatIsNotHttp) {
  auto failure = run({.url = "file:///etc/passwd"});
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->phase, Phase::Setup);
  EXPECT_EQ(failure->error.code, Code::InvalidArgument);
}

TEST(HttpClient, RefusesALineBreakInAHeaderWithoutShowingItsValue) {
  auto failure = run({.url = "http://127.0.0.1/", .headers = {{"x-api-key", "se\ncret"}}});
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->phase, Phase::Setup);
  EXPECT_NE(failure->error.message.find("x-api-key"), std::string::npos);
  EXPECT_EQ(failure->error.message.find("cret"), std::string::npos);
}

TEST(HttpClient, CancellingDuringANameLookUpIsImmediate) {
  SystemClock clock;
  loop::EventLoop loop(clock);
  Environment environment;
  Client client(loop, environment);
  Recorder recorder(loop);
  auto transfer = client.start({.url = "http://does-not-exist.invalid/"}, recorder);
  // Until the look-up is under way (or, where the resolver answers at once, over).
  loop::Timer later(loop, [&] { loop.stop(); });
  later.start(50);
  loop.run();
  int64_t before = clock.steady_ms();
  transfer.reset();
  // A blocked resolver takes five seconds and more.
  EXPECT_LT(clock.steady_ms() - before, 2'000);
}

TEST(HttpClient, MayBeDestroyedBeforeItsTransfersAndWhileItsLibraryIsLoaded) {
  SystemClock clock;
  loop::EventLoop loop(clock);
  Environment environment;
  Recorder recorder(loop);
  auto client = std::make_unique<Client>(loop, environment);
  client->preload();
  auto transfer = client->start({.url = "http://127.0.0.1:1/"}, recorder);
  client.reset();
  loop.run_once(0);
  EXPECT_FALSE(recorder.failure);
}

Environment env(std::map<std::string, std::string, std::less<>> values) { return Environment(std::move(values)); }

TEST(ProxySettings, FollowTheUsualVariables) {
  ProxySettings settings(env({{"http_proxy", "http://a"}, {"HTTPS_PROXY", "http://b"}, {"no_proxy", "x.org"}}));
  EXPECT_EQ(settings.for_url("http://h/"), "http://a");
  EXPECT_EQ(settings.for_url("https://h/"), "http://b");
  EXPECT_EQ(settings.no_proxy(), "x.org,localhost,127.0.0.1,::1");
}

TEST(ProxySettings, AllProxyStandsInAndHttpProxyInCapitalsDoesNot) {
  ProxySettings all(env({{"all_proxy", "socks5://s"}, {"https_proxy", "http://b"}}));
  EXPECT_EQ(all.for_url("http://h/"), "socks5://s");
  EXPECT_EQ(all.for_url("https://h/"), "http://b");
  EXPECT_EQ(ProxySettings(env({{"HTTP_PROXY", "http://evil"}})).for_url("http://h/"), "");
}

TEST(ProxySettings, NoneWithoutVariables) {
  ProxySettings none{Environment()};
  EXPECT_EQ(none.for_url("https://h/"), "");
  EXPECT_EQ(none.no_proxy(), "localhost,127.0.0.1,::1");
  EXPECT_EQ(ProxySettings(env({{"NO_PROXY", " * "}})).no_proxy(), "*");
}

TEST(Url, IsShownWithoutUserAndQuery) {
  EXPECT_EQ(url_for_people("https://u:p@h:1/a/b?key=x#f"), "https://h:1/a/b");
  EXPECT_EQ(url_for_people("https://h/a@b"), "https://h/a@b");
  EXPECT_EQ(url_for_people("http://h"), "http://h");
  EXPECT_EQ(url_for_people("nonsense"), "nonsense");
}

}  // namespace
}  // namespace insomnia::http
