#include "profile/rehearsal_host.hh"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/json.hpp>
#include <thread>

#include "base/io.hh"
#include "base/json.hh"
#include "base/unique_fd.hh"
#include "profile/lua_host.hh"

namespace insomnia::profile {
namespace {

std::string const kFixtures = std::string(INSOMNIA_SOURCE_DIR) + "/src/profile/testdata/rehearsal/";

std::string fixture(std::string const& name) {
  return *io::read_file(kFixtures + name);
}

std::string user(std::string_view text) {
  return json::dump(boost::json::object{
      {"kind", "message"}, {"role", "user"}, {"content", {{{"kind", "text"}, {"text", text}}}}});
}
std::string system_item(std::string_view text) {
  return json::dump(boost::json::object{
      {"kind", "message"}, {"role", "system"}, {"content", {{{"kind", "text"}, {"text", text}}}}});
}
std::string assistant(std::string_view text) {
  return json::dump(boost::json::object{
      {"kind", "message"}, {"role", "assistant"}, {"content", {{{"kind", "text"}, {"text", text}}}}});
}
std::string const kBashCall =
    R"({"kind":"tool_call","call_id":"c1","name":"Bash","arguments":"{\"command\":\"ls\"}"})";
std::string const kBashResult = R"({"kind":"tool_result","call_id":"c1","summary":"$ ls","content":"a\nb"})";

std::string request(std::vector<std::string> const& items,
                    std::string_view system = "You are the Pod `alpha`.") {
  std::string joined;
  for (std::string const& item : items) joined += (joined.empty() ? "" : ",") + item;
  return R"({"id":"r1","system":)" + json::dump(boost::json::value(system)) + R"(,"items":[)" + joined +
         R"(],"tools":["Read","Bash"],"model":"test","call_index":3,"attempt":2})";
}

std::string joined(std::vector<PacedLine> const& lines) {
  std::string text;
  for (PacedLine const& line : lines) text += line.text + "\n";
  return text;
}

/// All the text that the script says, or the message of the failure.
std::string spoken(std::string_view source, std::string const& request_json) {
  std::string text;
  for (PacedLine const& line :
       rehearse_call({.name = "t.lua", .source = std::string(source)}, request_json)) {
    auto object = *json::parse_object(line.text);
    if (object.contains("delta")) text += std::string(object["delta"].as_object()["text"].as_string());
    if (object.contains("error"))
      text += "error: " + std::string(object["error"].as_object()["message"].as_string());
  }
  return text;
}

TEST(Rehearsal, StreamsAReplyAsTheFixtureSays) {
  RehearsalScript script{.name = "turn.lua", .source = fixture("turn.lua")};
  std::string line = fixture("turn.request.json");
  auto object = *json::parse_object(line);
  EXPECT_EQ(joined(rehearse_call(script, json::dump(object["request"]))), fixture("turn.stream.jsonl"));
}

TEST(Rehearsal, AScriptSeesTheConversation) {
  std::vector<std::string> items = {user("first"), assistant("hm"),
                                    user("say ü"), kBashCall,
                                    kBashResult,   system_item("[Notification]\npod `kid` finished a turn")};
  EXPECT_EQ(spoken(R"lua(return function(c)
    local r = c.last_results[1]
    return table.concat({c.pod, c.task, c.last_user, c.turn, #c.items, r.name, r.arguments.command, r.content, tostring(r.is_error),
                         c.call_index, c.attempt, tostring(c.tools.Bash), tostring(c.tools.Edit), c.model, #c.last_notices,
                         c:result("Bash").summary, c:find("say (%S+)"), tostring(c:notified("kid") ~= nil),
                         tostring(c:notified("kidd"))}, "|")
  end)lua",
                   request(items)),
            "alpha|first|say ü|2|6|Bash|ls|a\nb|false|3|2|true|nil|test|1|$ ls|ü|true|nil");
}

TEST(Rehearsal, RefusalsMissingArgumentsAndReasoningAreItemsToo) {
  std::vector<std::string> items = {
      R"({"kind":"message","role":"assistant","content":[{"kind":"refusal","refusal":"no"}]})",
      R"({"kind":"reasoning","text":"why"})",
      R"({"kind":"tool_call","call_id":"c","name":"X","arguments":"[1"})",
      R"({"kind":"tool_result","call_id":"c","summary":"bad","is_error":true})"};
  EXPECT_EQ(spoken(R"lua(return function(c)
    local i = c.items
    return table.concat({i[1].text, i[2].text, tostring(next(i[3].arguments)), i[4].text, tostring(i[4].is_error)}, "|") end)lua",
                   request(items)),
            "no|why|nil|bad|true");
}

TEST(Rehearsal, ANewInterpreterForEachCall) {
  std::string_view script = "n = (n or 0) + 1 return function() return tostring(n) end";
  EXPECT_EQ(spoken(script, request({})), "1");
  EXPECT_EQ(spoken(script, request({})), "1");
}

TEST(Rehearsal, RolesAreChosenByThePodsName) {
  std::string_view script = R"(return {
    alpha = function() return "exact" end, ["al*"] = function() return "prefix" end, default = function() return "default" end })";
  EXPECT_EQ(spoken(script, request({}, "You are the Pod `alpha`.")), "exact");
  EXPECT_EQ(spoken(script, request({}, "Pod name: alto")), "prefix");
  EXPECT_EQ(spoken(script, request({}, "none")), "default");
  EXPECT_TRUE(
      spoken("return {x = print}", request({}))
          .starts_with(
              "error: rehearsal script t.lua: the script has no role for the Pod `alpha` and no `default`"));
}

constexpr std::string_view kSteps = R"(return rehearse {
  function(c) return call("Bash", {command = "ls"}) end,
  function(c) if c.last_results[1].is_error then return finish("broken") end end,
  function(c) if not c:notified("kid") then return stay("waiting") end return "kid is done" end,
  function(c) return "last" end,
  over = "nothing left",
})";

TEST(Rehearsal, StepsFollowTheConversation) {
  std::vector<std::string> items = {user("go")};
  EXPECT_EQ(spoken(kSteps, request(items)), R"({"command":"ls"})");
  items.insert(items.end(), {kBashCall, kBashResult});
  EXPECT_EQ(spoken(kSteps, request(items)), "waiting");
  items.insert(items.end(), {assistant("waiting"), system_item("[Notification]\nother")});
  EXPECT_EQ(spoken(kSteps, request(items)), "waiting");
  items.insert(items.end(), {assistant("waiting"), system_item("[Notification]\npod `kid` finished a turn")});
  EXPECT_EQ(spoken(kSteps, request(items)), "kid is done");
  items.insert(items.end(), {assistant("kid is done"), user("and?")});
  EXPECT_EQ(spoken(kSteps, request(items)), "last");
  items.insert(items.end(), {assistant("last"), user("and?")});
  EXPECT_EQ(spoken(kSteps, request(items)), "nothing left");
}

TEST(Rehearsal, FinishEndsTheSteps) {
  std::vector<std::string> items = {
      user("go"), kBashCall, R"({"kind":"tool_result","call_id":"c1","summary":"no","is_error":true})"};
  EXPECT_EQ(spoken(kSteps, request(items)), "broken");
  items.insert(items.end(), {assistant("broken"), user("again")});
  EXPECT_EQ(spoken(kSteps, request(items)), "nothing left");
}

TEST(Rehearsal, ATurnThatBrokeOffIsTheSameTurnAgain) {
  EXPECT_EQ(spoken("return rehearse { function() return 'one' end, function() return 'two' end }",
                   request({user("go"), assistant("on")})),
            "one");
}

TEST(Rehearsal, ErrorsOfAScriptNameFileAndLine) {
  EXPECT_EQ(spoken("return {\n", request({})),
            "error: rehearsal script t.lua: t.lua:2: unexpected symbol near <eof>");
  EXPECT_TRUE(spoken("return function(c)\n error('oops') end", request({}))
                  .starts_with("error: rehearsal script t.lua: t.lua:2: oops"));
  EXPECT_TRUE(spoken("return 5", request({}))
                  .starts_with("error: rehearsal script t.lua: the script must return a function, rehearse { "
                               "… } or a table of these "
                               "by role, not a number value"));
  EXPECT_EQ(spoken("return function() end", request({})),
            "error: rehearsal script t.lua: the script returned nothing where a reply is wanted: return "
            "say(\"…\"), or {} for an "
            "empty reply");
  EXPECT_TRUE(spoken("return rehearse { say 'x' }", request({})).find("step 1 is a table, not a function") !=
              std::string::npos);
  EXPECT_EQ(spoken("return function() return { txt = 'x' } end", request({})),
            "error: rehearsal script t.lua: reply part 1 has none of text, thinking, tool, error, pace, cut, "
            "stop, but `txt`");
  EXPECT_NE(
      spoken("return function() return call('Read', {'x'}) end", request({})).find("reply part 1.arguments"),
      std::string::npos);
}

TEST(Rehearsal, AMemoryBombIsAnErrorOfTheScript) {
  EXPECT_NE(spoken("return function() return ('x'):rep(1 << 28) end", request({})).find("not enough memory"),
            std::string::npos);
}

TEST(Rehearsal, FailuresKnowWhetherToTryAgain) {
  auto failure = [](std::string_view expression) {
    auto lines = rehearse_call(
        {.name = "t", .source = "return function() return " + std::string(expression) + " end"}, request({}));
    return lines.back().text;
  };
  EXPECT_EQ(
      failure("fail{status=529, message='busy', retry_after_ms=50, api_code='overloaded'}"),
      R"({"error":{"message":"busy","retryable":true,"status":529,"api_code":"overloaded","retry_after_ms":50}})");
  EXPECT_EQ(failure("fail{status=400}"),
            R"({"error":{"message":"the script failed this call","retryable":false,"status":400}})");
  EXPECT_EQ(failure("fail 'lost'"), R"({"error":{"message":"lost","retryable":true}})");
  EXPECT_EQ(failure("fail{message='x', retryable=false}"), R"({"error":{"message":"x","retryable":false}})");
  EXPECT_NE(failure("fail{stats=4}").find("stats"), std::string::npos);
}

TEST(RehearsalReply, AFailureOrACutEndsTheStream) {
  CallInfo call{.id = "r", .model = "m", .input_bytes = 8};
  EXPECT_EQ(joined(render_reply({TextPart{"a"}, FailPart{.message = "x"}, TextPart{"b"}}, call)),
            R"({"started":{"request_id":"r","model":"m"}}
{"block_start":{"type":"text","index":0}}
{"delta":{"index":0,"text":"a"}}
{"block_stop":{"index":0}}
{"error":{"message":"x","retryable":false}}
)");
  EXPECT_EQ(joined(render_reply({CutPart{}, TextPart{"b"}}, call)),
            R"({"started":{"request_id":"r","model":"m"}}
{"end":{}}
)");
  EXPECT_EQ(joined(render_reply({StopPart{"max_tokens"}}, call)),
            R"({"started":{"request_id":"r","model":"m"}}
{"usage":{"input_tokens":2,"output_tokens":0}}
{"stopped":{"reason":"max_tokens"}}
{"completed":{}}
{"end":{}}
)");
}

TEST(RehearsalReply, PaceSetsChunksAndPauses) {
  auto lines = render_reply({PacePart{.chunk_bytes = 3, .delay_ms = 7}, TextPart{"aüü€"},
                             PacePart{.chunk_bytes = 1}, TextPart{"€"}},
                            {.id = "r", .model = "m"});
  std::vector<PacedLine> deltas;
  for (PacedLine const& line : lines) {
    if (line.text.starts_with(R"({"delta")")) deltas.push_back(line);
  }
  EXPECT_EQ(deltas, (std::vector<PacedLine>{{7, R"({"delta":{"index":0,"text":"aü"}})"},
                                            {7, R"({"delta":{"index":0,"text":"ü"}})"},
                                            {7, R"({"delta":{"index":0,"text":"€"}})"},
                                            {0, R"({"delta":{"index":1,"text":"€"}})"}}));
}

TEST(RehearsalReply, ALongTextIsStreamedInABoundedNumberOfPieces) {
  EXPECT_LT(render_reply({TextPart{std::string(1 << 20, 'x')}}, {.id = "r", .model = "m"}).size(), 80u);
}

class Served : public testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    here_.reset(ends[0]);
    there_.reset(ends[1]);
    host_ = std::thread([this] {
      exit_code_ = serve_rehearsal(there_.get());
      there_.reset();
    });
  }
  void TearDown() override { finish(); }
  int finish() {
    if (host_.joinable()) {
      ::shutdown(here_.get(), SHUT_RDWR);
      host_.join();
    }
    return exit_code_;
  }
  std::string call(LineChannel& channel, std::string const& request_json) {
    EXPECT_TRUE(channel.send(R"({"request":)" + request_json + "}"));
    std::string kinds;
    for (;;) {
      auto line = channel.next();
      if (!line || !*line) return kinds + "(closed)";
      std::string kind((*json::parse_object(**line)).begin()->key());
      kinds += kind + " ";
      if (kind == "end" || kind == "error") return kinds;
    }
  }

  UniqueFd here_, there_;
  std::thread host_;
  int exit_code_ = -1;
};

TEST_F(Served, AnswersCallAfterCall) {
  LineChannel channel(here_.get());
  ASSERT_TRUE(channel.send(
      R"({"script":{"name":"s.lua","source":"return function(c) if c.last_user == 'bad' then error('no') end return 'hi' end"}})"));
  EXPECT_EQ(call(channel, request({user("x")})),
            "started block_start delta block_stop usage stopped completed end ");
  EXPECT_EQ(call(channel, request({user("bad")})), "error ");
  EXPECT_EQ(call(channel, request({user("x")})),
            "started block_start delta block_stop usage stopped completed end ");
  EXPECT_EQ(call(channel, R"({"id":"r"})"), "error ");
  EXPECT_EQ(finish(), 0);
}

TEST_F(Served, EndsWhenTheCallerLeavesDuringAPause) {
  LineChannel channel(here_.get());
  ASSERT_TRUE(channel.send(
      R"({"script":{"name":"s","source":"return function() return {pace{delay_ms=600000}, 'x'} end"}})"));
  ASSERT_TRUE(channel.send(R"({"request":)" + request({}) + "}"));
  EXPECT_TRUE((**channel.next()).starts_with(R"({"started")"));
  EXPECT_EQ(finish(), 0);
}

TEST_F(Served, ABrokenProtocolEndsTheHost) {
  ASSERT_TRUE(LineChannel(here_.get()).send("{}"));
  host_.join();
  EXPECT_EQ(exit_code_, 1);
}

}  // namespace
}  // namespace insomnia::profile
