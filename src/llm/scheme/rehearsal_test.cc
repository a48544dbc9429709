#include "llm/scheme/rehearsal.hh"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>

#include "base/clock.hh"
#include "base/io.hh"
#include "llm/scheme/rehearsal_stream.hh"

namespace insomnia::llm {
namespace {

std::string fixture(std::string const& name) {
  return *io::read_file(std::string(INSOMNIA_SOURCE_DIR) + "/src/profile/testdata/rehearsal/" + name);
}

std::vector<StreamEvent> const kFixtureEvents = {
    Started{.request_id = "r1", .model = "turn"},
    BlockStart{.index = 0, .type = BlockType::Thinking},
    BlockDelta{.index = 0, .text = "The user wants both"},
    BlockStop{.index = 0},
    ReasoningDone{.item = {.text = "The user wants both"}},
    BlockStart{.index = 1, .type = BlockType::Text},
    BlockDelta{.index = 1, .text = "I look a"},
    BlockDelta{.index = 1, .text = "t\nboth."},
    BlockStop{.index = 1},
    BlockStart{.index = 2, .type = BlockType::ToolUse, .id = "call_r1_1", .name = "Read"},
    BlockDelta{.index = 2, .text = "{\"file_p"},
    BlockDelta{.index = 2, .text = "ath\":\"/p"},
    BlockDelta{.index = 2, .text = "/a.cc\",\""},
    BlockDelta{.index = 2, .text = "limit\":1"},
    BlockDelta{.index = 2, .text = "0}"},
    BlockStop{.index = 2},
    BlockStart{.index = 3, .type = BlockType::ToolUse, .id = "call_r1_2", .name = "Bash"},
    BlockDelta{.index = 3, .text = "{\"comman"},
    BlockDelta{.index = 3, .text = "d\":\"make"},
    BlockDelta{.index = 3, .text = " test\"}"},
    BlockStop{.index = 3},
    Usage{.input_tokens = 50, .output_tokens = 25},
    Stopped{.reason = StopReason::ToolUse},
    Completed{}};

/// Collects one call and stops the loop at its end.
struct Collector : CallHandler {
  explicit Collector(loop::EventLoop& event_loop) : loop(event_loop) {}
  void on_event(StreamEvent const& event) override {
    events.push_back(event);
    if (after_event) after_event();
  }
  void on_end(std::optional<CallFailure> how) override {
    EXPECT_FALSE(ended);
    ended = true;
    failure = std::move(how);
    loop.stop();
  }
  loop::EventLoop& loop;
  std::vector<StreamEvent> events;
  std::optional<CallFailure> failure;
  bool ended = false;
  std::function<void()> after_event;
};

class RehearsalProviderTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/insomnia-rehearsal-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(io::remove_tree(directory_)); }

  std::string write(std::string const& name, std::string_view content, unsigned mode = 0600) {
    std::string path = directory_ + "/" + name;
    EXPECT_TRUE(io::replace_file(path, content, mode));
    return path;
  }

  /// A host in place of the real one: `answer` is shell code that runs for each request, with $line, $number
  /// and $$.
  std::string fake_host(std::string const& answer) {
    return write("host",
                 "#!/bin/sh\n[ \"$1 $2\" = 'lua rehearsal' ] || exit 9\nread -r script <&3\n"
                 "number=0\nwhile read -r line <&3; do number=$((number + 1))\n" +
                     answer + "\ndone\n",
                 0700);
  }

  std::unique_ptr<Provider> provider(std::string const& program, int64_t silence_ms = kRehearsalSilenceMs) {
    ProviderContext context{
        .loop = loop_, .http = no_http(), .environment = environment_, .self_program = program};
    return make_rehearsal_provider({.scheme = "rehearsal", .model_id = model_id_}, context, silence_ms);
  }

  /// The HTTP client, which this provider never touches.
  static http::Client& no_http() {
    alignas(std::max_align_t) static char nothing[sizeof(std::max_align_t)];
    return reinterpret_cast<http::Client&>(nothing);
  }

  void finish(Collector const& collector) {
    bool late = false;
    loop::Timer deadline(loop_, [&] { late = true; });
    deadline.start(60'000);
    while (!collector.ended && !late) loop_.run_once(-1);
    ASSERT_TRUE(collector.ended);
  }

  Collector call(Provider& provider) {
    Collector collector(loop_);
    auto under_way = provider.call(request_, collector);
    EXPECT_FALSE(collector.ended);
    finish(collector);
    return collector;
  }

  SystemClock clock_;
  loop::EventLoop loop_{clock_};
  Environment environment_;
  std::string directory_;
  std::string model_id_ = "demo";
  std::vector<wire::Item> items_ = {wire::user_message("both")};
  Request request_{.items = items_};
};

TEST(RehearsalCodec, ARequestIsWhatTheFixtureSays) {
  std::vector<wire::Item> items = {wire::user_message("both")};
  std::vector<ToolDefinition> tools = {{.name = "Read"}, {.name = "Bash"}};
  Request request{.system_prompt = "You are the Pod `alpha`.", .items = items, .tools = tools};
  EXPECT_EQ(
      encode_rehearsal_request(request, {.id = "r1", .model = "turn", .call_index = 1, .attempt = 1}) + "\n",
      fixture("turn.request.json"));
}

TEST(RehearsalCodec, FailuresAndUnknownLines) {
  EXPECT_EQ(
      *decode_rehearsal_line(
          R"({"error":{"message":"m","status":529,"retry_after_ms":7,"api_code":"o","retryable":true}})"),
      RehearsalMessage(CallFailure{.error = {.code = Code::Unavailable, .message = "m"},
                                   .status = 529,
                                   .api_code = "o",
                                   .retry_after_ms = 7,
                                   .retryable = true}));
  EXPECT_EQ(*decode_rehearsal_line(R"({"novelty":{}})"),
            RehearsalMessage(StreamEvent(Unhandled{.event_type = "novelty"})));
  for (std::string_view bad :
       {"", "[]", "{}", R"({"delta":1})", R"({"delta":{"index":-1,"text":"x"}})", R"({"started":{}})",
        R"({"block_start":{"index":0,"type":"odd"}})", R"({"stopped":{"reason":"x"}})"}) {
    EXPECT_FALSE(decode_rehearsal_line(bad)) << bad;
  }
}

TEST_F(RehearsalProviderTest, DeliversTheStream) {
  write("stream", fixture("turn.stream.jsonl"));
  auto model = provider(fake_host("cat '" + directory_ + "/stream' >&3"));
  Collector first = call(*model);
  EXPECT_EQ(first.failure, std::nullopt);
  EXPECT_EQ(first.events, kFixtureEvents);
}

TEST_F(RehearsalProviderTest, TheProcessGetsTheScriptAndIsKeptBetweenCalls) {
  auto model = provider(fake_host(
      "printf '%s\\n' \"$script\" >'" + directory_ + "/script'; printf '%s\\n' \"$line\" >'" + directory_ +
      "/line'; echo '{\"started\":{\"request_id\":\"'$$-$number'\",\"model\":\"m\"}}' >&3; echo "
      "'{\"end\":{}}' >&3"));
  std::string first = std::get<Started>(call(*model).events.at(0)).request_id;
  EXPECT_TRUE(io::read_file(directory_ + "/script")
                  ->starts_with(R"({"script":{"name":"rehearsal/demo.lua","source":")"));
  EXPECT_NE(io::read_file(directory_ + "/line")->find(R"("call_index":1,"attempt":1})"), std::string::npos);
  std::string second = std::get<Started>(call(*model).events.at(0)).request_id;
  EXPECT_NE(io::read_file(directory_ + "/line")->find(R"("call_index":2,"attempt":2})"), std::string::npos);
  EXPECT_EQ(first.substr(0, first.find('-')) + "-2", second);
}

TEST_F(RehearsalProviderTest, ADeadProcessIsReplacedAtTheNextCall) {
  auto model = provider(fake_host("echo '{\"end\":{}}' >&3; exit 0"));
  for (int i = 0; i < 3; ++i) {
    Collector collector = call(*model);
    // The process may die before or after it is asked again; either way the provider recovers.
    if (collector.failure) {
      EXPECT_NE(collector.failure->error.message.find("exit code 0"), std::string::npos)
          << collector.failure->error.message;
    }
  }
}

TEST_F(RehearsalProviderTest, AProcessThatDiesInACallFailsItWithTheReason) {
  auto model =
      provider(fake_host("echo '{\"started\":{\"request_id\":\"r\",\"model\":\"m\"}}' >&3; kill -9 $$"));
  Collector collector = call(*model);
  ASSERT_TRUE(collector.failure);
  EXPECT_TRUE(collector.failure->retryable);
  EXPECT_TRUE(collector.failure->mid_stream);
  EXPECT_NE(collector.failure->error.message.find("`demo` ended before its answer did: killed by signal 9"),
            std::string::npos);
  EXPECT_TRUE(call(*model).failure->retryable);
}

TEST_F(RehearsalProviderTest, AProcessThatExitsIsNotTriedAgain) {
  auto model = provider(write("host", "#!/bin/sh\nexit 3\n", 0700));
  Collector collector = call(*model);
  ASSERT_TRUE(collector.failure);
  EXPECT_FALSE(collector.failure->retryable);
  EXPECT_NE(collector.failure->error.message.find("exit code 3"), std::string::npos);
}

TEST_F(RehearsalProviderTest, FailuresOfTheScriptArriveAsTheyAre) {
  auto model =
      provider(fake_host("echo '{\"error\":{\"message\":\"x.lua:3: oops\",\"retryable\":false}}' >&3"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(call(*model).failure,
              (CallFailure{.error = {.code = Code::InvalidArgument, .message = "x.lua:3: oops"},
                           .retryable = false}));
  }
}

TEST_F(RehearsalProviderTest, NonsenseFromTheProcessEndsTheCall) {
  auto model = provider(fake_host("echo 'hello' >&3"));
  EXPECT_NE(call(*model).failure->error.message.find("the rehearsal script's process: invalid JSON"),
            std::string::npos);
}

TEST_F(RehearsalProviderTest, SilenceEndsTheCallAndTheProcess) {
  auto model = provider(fake_host("sleep 1000"), 50);
  Collector collector = call(*model);
  ASSERT_TRUE(collector.failure);
  EXPECT_EQ(collector.failure->error.code, Code::Timeout);
  EXPECT_FALSE(collector.failure->retryable);
  EXPECT_NE(collector.failure->error.message.find("`demo`"), std::string::npos);
}

TEST_F(RehearsalProviderTest, DestroyingACallKillsItsProcessAndSilencesTheHandler) {
  auto model = provider(fake_host(
      "echo '{\"started\":{\"request_id\":\"'$$'\",\"model\":\"m\"}}' >&3; [ $number = 2 ] || sleep 1000"));
  Collector collector(loop_);
  auto under_way = model->call(request_, collector);
  collector.after_event = [&] {
    under_way.reset();
    loop_.stop();
  };
  loop_.run();
  EXPECT_FALSE(collector.ended);
  pid_t pid = std::stoi(std::get<Started>(collector.events.at(0)).request_id);
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST_F(RehearsalProviderTest, CallsMayOverlapAndOutliveTheProvider) {
  auto model = provider(fake_host(
      "echo '{\"started\":{\"request_id\":\"'$$'\",\"model\":\"m\"}}' >&3; echo '{\"end\":{}}' >&3"));
  Collector one(loop_), two(loop_);
  auto first = model->call(request_, one);
  auto second = model->call(request_, two);
  model.reset();
  finish(one);
  finish(two);
  EXPECT_NE(one.events, two.events);
}

TEST_F(RehearsalProviderTest, ALargeConversationGetsThrough) {
  items_ = {wire::user_message(std::string(600'000, 'x'))};
  request_.items = items_;
  auto model = provider(fake_host(
      "echo '{\"started\":{\"request_id\":\"'${#line}'\",\"model\":\"m\"}}' >&3; echo '{\"end\":{}}' >&3"));
  Collector collector = call(*model);
  ASSERT_FALSE(collector.failure) << collector.failure->error.message;
  EXPECT_GT(std::stoi(std::get<Started>(collector.events.at(0)).request_id), 600'000);
}

TEST_F(RehearsalProviderTest, AMissingScriptIsNamedWithTheOnesThereAre) {
  model_id_ = "no-such";
  std::string message = call(*provider("/bin/false")).failure->error.message;
  EXPECT_TRUE(message.starts_with(
      "there is no rehearsal script `no-such`; give the path of a .lua file, or one of `"))
      << message;
  EXPECT_NE(message.find("`demo`"), std::string::npos);
  EXPECT_EQ(message.find("lib/"), std::string::npos);
}

TEST_F(RehearsalProviderTest, AMissingFileOrProgramIsNamed) {
  model_id_ = directory_ + "/none.lua";
  EXPECT_TRUE(call(*provider("/bin/false"))
                  .failure->error.message.starts_with("read the rehearsal script " + model_id_));
  model_id_ = write("some.lua", "return 1");
  auto failure = call(*provider(directory_ + "/nothing")).failure;
  EXPECT_NE(failure->error.message.find(directory_ + "/nothing"), std::string::npos);
  EXPECT_FALSE(failure->retryable);
}

TEST_F(RehearsalProviderTest, AScriptThatIsNotUtf8IsRefused) {
  model_id_ = write("bad.lua", "return '\xff'");
  EXPECT_NE(call(*provider("/bin/false")).failure->error.message.find("is not UTF-8"), std::string::npos);
}

}  // namespace
}  // namespace insomnia::llm
