#include "cli/ask_desk.hh"

#include <gtest/gtest.h>

namespace insomnia::cli {
namespace {

client::PodOrigin const kRoot{"site", 0};
client::PodOrigin const kKid{"kid", 1};

struct Desk {
  explicit Desk(AskMode mode)
      : desk(mode, {.answer = [this](std::string const& pod, wire::PermissionAnswer const& answer) {
                      said += pod + " " + answer.ask + (answer.allow ? " yes" : " no") + (answer.remember ? " always\n" : "\n");
                    },
                    .show = [this](std::string const& text) { shown += text; },
                    .listen = [this](bool on) { listening = on; }}) {}
  Desk& ask(client::PodOrigin const& origin, std::string id, std::string covers = "all like x") {
    wire::PermissionRequest request{.ask = std::move(id), .pod_name = "kid", .tool = "Bash", .arguments = R"({"command":"git push"})", .remembered = {std::move(covers)}};
    desk.on_event(origin, {.body = wire::PermissionRequestEvent{request}});
    return *this;
  }
  void close(std::string id, bool allow, std::string by) { desk.on_event(kRoot, {.body = wire::PermissionClosedEvent{{std::move(id), allow, std::move(by)}}}); }
  std::string heard() { return std::exchange(said, ""); }
  std::string screen() { return std::exchange(shown, ""); }

  std::string said, shown;
  bool listening = false;
  AskDesk desk;
};

TEST(AskDesk, OneQuestionAfterTheOther) {
  Desk desk(AskMode::Terminal);
  desk.ask(kKid, "1").ask(kRoot, "1").ask(kRoot, "2", "other");
  EXPECT_TRUE(desk.listening);
  EXPECT_EQ(desk.screen(),
            "? kid asks to use Bash:\n    git push\n  always and never hold for all like x\n  y: yes  a: always in this session  n: no  d: never in this session\n");
  EXPECT_FALSE(desk.desk.on_line("what?"));
  EXPECT_EQ(desk.heard(), "");
  EXPECT_TRUE(desk.desk.on_line(" Yes "));
  EXPECT_EQ(desk.heard(), "kid 1 yes\n") << "where it was seen first, once";
  EXPECT_TRUE(desk.screen().starts_with("? kid asks"));
  EXPECT_TRUE(desk.desk.on_line("n"));
  EXPECT_EQ(desk.heard(), "site 2 no\n");
  EXPECT_FALSE(desk.listening);
  EXPECT_FALSE(desk.desk.on_line("y"));
}

TEST(AskDesk, AlwaysHoldsForTheSameQuestionOfEveryPodOfTheTree) {
  Desk desk(AskMode::Terminal);
  desk.ask(kKid, "1").ask(kRoot, "2").ask(kRoot, "3", "other");
  desk.desk.on_line("a");
  EXPECT_EQ(desk.heard(), "kid 1 yes always\nsite 2 yes always\n");
  EXPECT_EQ(desk.desk.waiting()->ask, "3");
  desk.desk.on_line("never");
  EXPECT_EQ(desk.heard(), "site 3 no always\n");
  desk.ask(kRoot, "4").ask(kKid, "5", "other").ask(kKid, "6", "third");
  EXPECT_EQ(desk.heard(), "site 4 yes always\nkid 5 no always\n");
  EXPECT_EQ(desk.desk.waiting()->ask, "6");
}

TEST(AskDesk, WhatOthersHaveAnsweredIsNotAskedAnyMore) {
  Desk desk(AskMode::Terminal);
  desk.ask(kKid, "1").ask(kKid, "2");
  desk.screen();
  desk.close("1", true, "client");
  EXPECT_TRUE(desk.screen().starts_with("(this needs no answer any more: allowed)\n? kid asks"));
  desk.close("9", true, "client");
  desk.close("2", false, "deadline");
  EXPECT_EQ(desk.screen(), "(this needs no answer any more: not allowed: nobody answered in time)\n");
  EXPECT_FALSE(desk.listening);
  EXPECT_EQ(desk.heard(), "");
}

TEST(AskDesk, ScriptsAnswerAtOnceOrNotAtAll) {
  Desk yes(AskMode::Allow), no(AskMode::Deny), leave(AskMode::Leave);
  EXPECT_EQ(yes.ask(kKid, "1").ask(kRoot, "1").heard(), "kid 1 yes\n");
  EXPECT_EQ(no.ask(kKid, "1").heard(), "kid 1 no\n");
  EXPECT_EQ(leave.ask(kKid, "1").heard(), "");
  EXPECT_EQ(yes.screen() + no.screen() + leave.screen(), "");
  EXPECT_TRUE(leave.desk.on_line("yes")) << "but a word that is typed counts";
  EXPECT_EQ(leave.heard(), "kid 1 yes\n");
}

TEST(AskDesk, QuestionsThatWereOpenBeforeComeWithTheSnapshot) {
  Desk desk(AskMode::Terminal);
  wire::SnapshotEvent snapshot;
  snapshot.permission_requests = {{.ask = "1", .pod_name = "kid", .tool = "Write", .arguments = "{}"}};
  desk.desk.on_event(kRoot, {.body = snapshot});
  EXPECT_EQ(desk.desk.waiting()->ask, "1");
  desk.desk.set_mode(AskMode::Deny);
  EXPECT_EQ(desk.heard(), "site 1 no\n") << "whoever sat there has left";
  EXPECT_FALSE(desk.listening);
}

TEST(QuestionText, ShowsAllThatIsWantedAndNothingOfItReachesTheTerminal) {
  wire::PermissionRequest request{.ask = "1", .pod_name = "k\x1b[2Jid", .tool = "Write", .arguments = R"({"file_path":"/w/a","content":"one\n\u001b]0;x\u0007two","n":3})", .reasons = {"rule 1", "rule\n2"}};
  std::string text = question_text(request);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
  EXPECT_NE(text.find("    file_path: /w/a\n    content:\n      one\n      \\x1b]0;x\\x07two\n"), std::string::npos) << text;
  EXPECT_NE(text.find("    n: 3\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  because of rule 1; rule 2\n"), std::string::npos) << text;
  request.arguments = R"({"command":"a)";
  request.arguments_size = 9'000;
  EXPECT_NE(question_text(request).find("    {\"command\":\"a\n    (only the first 13 of 9000 bytes are shown)\n"), std::string::npos) << question_text(request);
}

}  // namespace
}  // namespace insomnia::cli
