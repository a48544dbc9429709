#include "manifest/permission.hh"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.hh"
#include "manifest/shell_words.hh"

namespace insomnia::manifest {
namespace {

Permissions policy(PermissionAction fallback, std::vector<PermissionRule> rules) { return {fallback, std::move(rules)}; }

TEST(Permission, FirstMatchingRuleDecides) {
  auto permissions =
      policy(PermissionAction::Deny,
             {{"Bash", "git push*", PermissionAction::Ask}, {"Bash", "git *", PermissionAction::Allow}, {"Bash", "git push*", PermissionAction::Allow}});
  EXPECT_EQ(decide(permissions, "Bash", R"({"command":"git push origin"})").action, PermissionAction::Ask);
  EXPECT_TRUE(decide(permissions, "Bash", R"({"command":"git status"})").allowed());
  EXPECT_EQ(decide(permissions, "Bash", R"({"command":"ls"})").action, PermissionAction::Deny);
}

TEST(Permission, DefaultAppliesWhenNothingMatches) {
  EXPECT_TRUE(decide(policy(PermissionAction::Allow, {}), "Read", "{}").allowed());
  EXPECT_FALSE(decide(policy(PermissionAction::Deny, {{"Write", "*", PermissionAction::Allow}}), "Read", "{}").allowed());
  EXPECT_FALSE(decide(Permissions{}, "Read", "{}").allowed()) << "a policy without default is closed";
}

TEST(Permission, ToolNamesIgnoreCase) {
  EXPECT_FALSE(decide(policy(PermissionAction::Allow, {{"bASH", "*", PermissionAction::Deny}}), "Bash", "{}").allowed());
  EXPECT_TRUE(decide(policy(PermissionAction::Allow, {{"Bas", "*", PermissionAction::Deny}}), "Bash", "{}").allowed());
}

TEST(Permission, RefusalsAreTextsForTheModel) {
  auto denied = decide(policy(PermissionAction::Allow, {{"Bash", "rm *", PermissionAction::Deny}}), "Bash", R"({"command":"rm x"})");
  EXPECT_TRUE(denied.refusal.starts_with("permission denied: tool `Bash` arguments matched the manifest permission policy"));
  EXPECT_NE(denied.refusal.find("rule 1, pattern `rm *`"), std::string::npos);
  auto ask = decide(policy(PermissionAction::Ask, {}), "Write", R"({"file_path":"/x"})");
  EXPECT_FALSE(ask.allowed());
  EXPECT_EQ(ask.refusal, "") << "it is asked, and refused only without a yes";
  EXPECT_EQ(not_given("Write", ask.questions, "nobody answered within 300 s"),
            "permission not given: tool `Write` requires approval (default_action), and nobody answered within 300 s. Do it another way, or report that you could not.");
  EXPECT_EQ(decide(policy(PermissionAction::Allow, {}), "Write", "{}").refusal, "");
}

TEST(Permission, TargetPrefersKnownKeysInTheirOrder) {
  EXPECT_EQ(permission_target(R"({"url":"u","path":"p","command":"c"})"), "c");
  EXPECT_EQ(permission_target(R"({"pattern":"x","path":"p"})"), "p");
  EXPECT_EQ(permission_target(R"({"command":7,"query":"q"})"), "q") << "only strings count";
  EXPECT_EQ(permission_target(R"({"b":1,"a":{"d":[{"z":1,"y":2}],"c":null}})"), R"({"a":{"c":null,"d":[{"y":2,"z":1}]},"b":1})");
  EXPECT_EQ(permission_target("[1, 2]"), "[1,2]");
  EXPECT_EQ(permission_target("not json"), "not json");
}

TEST(Permission, Wildcards) {
  EXPECT_TRUE(wildcard_match("*", ""));
  EXPECT_TRUE(wildcard_match("", ""));
  EXPECT_FALSE(wildcard_match("", "a"));
  EXPECT_TRUE(wildcard_match("a*c", "a/b\nc"));
  EXPECT_FALSE(wildcard_match("a*c", "a/b\ncd")) << "the whole text is compared";
  EXPECT_FALSE(wildcard_match("A", "a"));
  EXPECT_TRUE(wildcard_match("*.cc", "x.cc.cc"));
  EXPECT_TRUE(wildcard_match("a?c", "abc"));
  EXPECT_FALSE(wildcard_match("a?c", "ac"));
  EXPECT_TRUE(wildcard_match("a?c", "a漢c")) << "a character, not a byte";
  EXPECT_FALSE(wildcard_match("a??c", "a漢c"));
  EXPECT_TRUE(wildcard_match("*??", "é漢"));
  EXPECT_TRUE(wildcard_match("[a]\\*", "[a]\\x")) << "no classes, no escapes";
}

std::string bash(std::string_view command) { return json::dump(boost::json::object{{"command", command}}); }

PermissionAction decided(Permissions const& permissions, std::string_view command) { return decide(permissions, "Bash", bash(command), "/w").action; }

constexpr auto Allow = PermissionAction::Allow, Deny = PermissionAction::Deny, Ask = PermissionAction::Ask;

TEST(PermissionOfCommands, ADenyIsNotAvoidedByWriting) {
  auto permissions = policy(Allow, {{"Bash", "rm *", Deny}, {"Bash", "git push*", Deny}});
  for (auto const* command : {"rm x",
                              " rm x",
                              "ls; rm x",
                              "ls && rm x",
                              "ls\nrm x",
                              "(rm x)",
                              "echo $(rm x)",
                              "echo `rm x`",
                              "env rm x",
                              "/bin/rm x",
                              "\\rm x",
                              "r'm' x",
                              "A=1 rm x",
                              "if true; then rm x; fi",
                              "bash -c 'rm x'",
                              "ls | xargs rm",
                              "sudo -n rm x",
                              "find . -exec rm {} \\;",
                              "rm\tx",
                              "rm $x",
                              "{ rm x; }",
                              "eval 'rm x'",
                              "timeout 5 nice rm x",
                              "cd y && git push",
                              "git $(echo push)"}) {
    EXPECT_EQ(decided(permissions, command), Deny) << command;
  }
  for (auto const* command : {"ls", "echo rm", "echo 'rm x'", "grep 'git push' x", "rmdir x", "# rm x"})
    EXPECT_EQ(decided(permissions, command), Allow) << command;
}

TEST(PermissionOfCommands, AnAllowHoldsForEveryCommandWhateverTheShellPutsIn) {
  auto permissions = policy(Deny, {{"Bash", "git status", Allow}, {"Bash", "git log*", Allow}, {"Bash", "ls *", Allow}});
  for (auto const* command : {"git status", "git status && git log -3", "git log --format=%h | ls x", "ls $x *.c", "env git status", "A=1"})
    EXPECT_EQ(decided(permissions, command), Allow) << command;
  for (auto const* command :
       {"git status; rm x", "git status $x", "git status $(rm x)", "git $x", "/tmp/evil/git status", "sudo git push", "bash -c 'git push'", "ls"})
    EXPECT_EQ(decided(permissions, command), Deny) << command;
}

TEST(PermissionOfCommands, TheStrictestOfAllCounts) {
  auto permissions = policy(Allow, {{"Bash", "git push*", Ask}, {"Bash", "rm *", Deny}});
  EXPECT_EQ(decided(permissions, "ls && git push"), Ask);
  EXPECT_EQ(decided(permissions, "git push && rm x"), Deny);
  EXPECT_NE(decide(permissions, "Bash", bash("ls && rm -r \"$x\"")).refusal.find("(rule 2, pattern `rm *`, for `rm -r *`)"), std::string::npos)
      << decide(permissions, "Bash", bash("ls && rm -r \"$x\"")).refusal;
}

TEST(PermissionOfCommands, WhatIsNotUnderstoodIsAskedWhereARuleCouldRefuse) {
  char const* odd = "f() { rm x; }; f";
  EXPECT_EQ(decided(policy(Allow, {}), odd), Allow) << "nothing could refuse it";
  EXPECT_EQ(decided(policy(Allow, {{"Bash", "git push*", Deny}}), odd), Ask);
  EXPECT_EQ(decided(policy(Allow, {{"Bash", "git push*", Ask}}), odd), Ask);
  EXPECT_EQ(decided(policy(Deny, {{"Bash", "ls *", Allow}}), odd), Deny);
  EXPECT_EQ(decided(policy(Deny, {{"Bash", "*", Allow}}), odd), Allow) << "every text is allowed";
  EXPECT_EQ(decided(policy(Allow, {{"Bash", "ls *", Allow}, {"Bash", "*", Deny}}), odd), Deny);
  EXPECT_EQ(decided(policy(Allow, {{"Bash", "*rm*", Deny}}), odd), Deny) << "the text as it is written";
  EXPECT_EQ(decided(policy(Allow, {{"Read", "*", Deny}}), odd), Allow) << "rules of other tools";
  EXPECT_EQ(decided(policy(Allow, {{"Bash", "git push*", Deny}}), "$cmd x"), Ask);
}

std::vector<std::string> keys(PermissionDecision const& decision) {
  std::vector<std::string> result;
  for (auto const& question : decision.questions) result.push_back(question.key);
  return result;
}
using Keys = std::vector<std::string>;

TEST(PermissionQuestions, AllThatAskIsAskedInOneGo) {
  auto permissions = policy(Ask, {{"Bash", "git push*", Ask}, {"Bash", "ls*", Allow}, {"bash", "*", Ask}});
  auto asked = decide(permissions, "Bash", bash("ls && git push a && git push b && make x"), "/w");
  EXPECT_EQ(asked.action, Ask);
  EXPECT_EQ(keys(asked), (Keys{"rule:bash:git push*", "call:bash:ls && git push a && git push b && make x"}));
  EXPECT_EQ(asked.questions[0].reason, "rule 1, pattern `git push*`, for `git push a`");
  EXPECT_EQ(asked.questions[0].covers, "all calls of `Bash` like `git push*`");
  EXPECT_EQ(asked.questions[1].covers, "`Bash` with exactly `ls && git push a && git push b && make x`");
  EXPECT_EQ(keys(decide(permissions, "Bash", bash("cd a; make x"), "/w")), Keys{"call:bash:cd a; make x"});
}

TEST(PermissionQuestions, AnAnswerToACommandIsForItsTextAsItIsWritten) {
  auto permissions = policy(Ask, {});
  for (auto const* command : {"make a", "make a > b", "X=1 make a", "make  'a' ; ls", "x=1; rm $x", "sudo make a"})
    EXPECT_EQ(keys(decide(permissions, "Bash", bash(command), "/w")), Keys{"call:bash:" + std::string(command)}) << command;
  EXPECT_EQ(keys(decide(policy(Allow, {{"Bash", "rm *", Deny}}), "Bash", bash("f() { rm x; }; f"), "/w")), Keys{"call:bash:f() { rm x; }; f"});
}

TEST(PermissionQuestions, WhatLooksTheSameIsToldApart) {
  auto covers = [](std::string const& command) { return decide(policy(Ask, {}), "Bash", bash(command), "/w").questions.at(0).covers; };
  EXPECT_NE(covers("make a\nrm b"), covers("make a rm b"));
  EXPECT_NE(covers(std::string(300, 'x') + "1"), covers(std::string(300, 'x') + "2"));
  EXPECT_LT(covers(std::string(5'000, 'x')).size(), 400u) << "and no part of it is cut on its way to people";
}

TEST(PermissionQuestions, OtherToolsAreToldApartByPathOrByAllTheirArguments) {
  auto permissions = policy(Ask, {{"Write", "doc/*", Ask}});
  auto of = [&](std::string_view tool, std::string_view arguments) { return keys(decide(permissions, tool, arguments, "/w")); };
  EXPECT_EQ(of("Write", R"({"file_path":"./a/../b","content":"x"})"), Keys{"call:write:/w/b"});
  EXPECT_EQ(of("Write", R"({"file_path":"/w/doc/b"})"), Keys{"rule:write:doc/*"});
  EXPECT_EQ(of("Glob", R"({"pattern":"/etc/*"})"), Keys{"call:glob:/w /etc/*"});
  EXPECT_EQ(of("Grep", R"({"pattern":"a","path":"src"})"), Keys{"call:grep:/w/src"});
  EXPECT_EQ(of("WebFetch", R"({"url":"u","a":1})"), Keys{R"(call:webfetch:{"a":1,"url":"u"})"});
}

TEST(PermissionQuestions, OfSeveralPoliciesTheStrictestCountsAndAllQuestionsAreOne) {
  Permissions asks = policy(Allow, {{"Bash", "git push*", Ask}}), more = policy(Ask, {{"Bash", "git push*", Ask}}), denies = policy(Allow, {{"Bash", "git *", Deny}});
  EXPECT_TRUE(decide(std::vector<Permissions>{}, "Bash", bash("git push"), "/w").allowed());
  EXPECT_EQ(keys(decide(std::vector{asks, more}, "Bash", bash("git push; ls"), "/w")), (Keys{"rule:bash:git push*", "call:bash:git push; ls"}));
  auto denied = decide(std::vector{asks, denies, more}, "Bash", bash("git push"), "/w");
  EXPECT_EQ(denied.action, Deny);
  EXPECT_TRUE(denied.questions.empty());
  EXPECT_TRUE(denied.refusal.starts_with("permission denied: "));
}

TEST(PermissionQuestions, TheShortestTimesCount) {
  EXPECT_EQ(ask_limits({}), (AskLimits{300, 10}));
  Permissions quick = policy(Ask, {}), slow = policy(Ask, {});
  quick.ask_timeout_secs = 5;
  slow.ask_timeout_secs = UINT64_MAX;
  slow.ask_unattended_secs = 0;
  EXPECT_EQ(ask_limits({policy(Ask, {}), quick, slow}), (AskLimits{5, 0}));
  EXPECT_EQ(ask_limits({slow}).timeout_secs, 365u * 86'400);
}

TEST(PermissionOfPaths, PathsAreComparedAsTheyAre) {
  auto permissions = policy(Deny, {{"Write", "src/*", Allow}, {"Edit", "/w/doc/*", Allow}});
  auto write = [&](std::string_view path) { return decide(permissions, "Write", json::dump(boost::json::object{{"file_path", path}}), "/w").action; };
  EXPECT_EQ(write("/w/src/a.cc"), Allow);
  EXPECT_EQ(write("src/a.cc"), Allow);
  EXPECT_EQ(write("/w/src/../doc/a"), Deny);
  EXPECT_EQ(write("/w/./src//a"), Allow);
  EXPECT_EQ(write("/src/a"), Deny) << "another directory";
  EXPECT_EQ(decide(permissions, "Edit", R"({"file_path":"doc/x"})", "/w").action, Allow);
  auto secrets = policy(Allow, {{"Read", "*secret*", Deny}, {"Grep", "/w/private*", Deny}, {"Glob", "/etc*", Deny}});
  EXPECT_EQ(decide(secrets, "Read", R"({"file_path":"/w/secret/../secret/x"})", "/w").action, Deny);
  EXPECT_EQ(decide(secrets, "Grep", R"({"pattern":"/w/private"})", "/w").action, Allow) << "what is looked for is no path";
  EXPECT_EQ(decide(secrets, "Grep", R"({"pattern":"x","path":"private"})", "/w").action, Deny);
  EXPECT_EQ(decide(secrets, "Glob", R"({"pattern":"/etc/*"})", "/w").action, Deny);
  EXPECT_EQ(decide(secrets, "Glob", R"({"pattern":"../etc/*"})", "/w").action, Deny);
  auto only = policy(Deny, {{"Glob", "/w*", Allow}});
  EXPECT_EQ(decide(only, "Glob", R"({"pattern":"*.cc"})", "/w").action, Allow);
  EXPECT_EQ(decide(only, "Glob", R"({"pattern":"/etc/*"})", "/w").action, Deny);
}

TEST(Permission, WildcardsOfUnknownTexts) {
  std::string u(1, kUnknown);
  EXPECT_TRUE(wildcard_match("rm *", "rm " + u));
  EXPECT_FALSE(wildcard_match("rm ?", "rm " + u));
  EXPECT_FALSE(wildcard_match("rm x", "rm " + u));
  for (auto const* pattern : {"rm x", "rm *", "r*", "*", "rm -rf /", "?? x", "rm é"}) EXPECT_TRUE(wildcard_may_match(pattern, "rm " + u)) << pattern;
  for (auto const* pattern : {"ls*", "rm", "r", "", "?m"}) EXPECT_FALSE(wildcard_may_match(pattern, "rm " + u)) << pattern;
  EXPECT_TRUE(wildcard_may_match("a*z", "a" + u + "b" + u + "z"));
  EXPECT_FALSE(wildcard_may_match("a*z", "a" + u + "y"));
  EXPECT_TRUE(wildcard_may_match("axbyz", "a" + u + "b" + u + "z"));
  EXPECT_FALSE(wildcard_may_match("axyz", "a" + u + "b" + u + "z"));
}

TEST(Permission, HostilePatternsStayFast) {
  std::string pattern, text(20000, 'a');
  for (int i = 0; i < 200; ++i) pattern += "*a";
  EXPECT_FALSE(wildcard_match(pattern + "b", text));
}

}  // namespace
}  // namespace insomnia::manifest
