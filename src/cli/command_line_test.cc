#include "cli/command_line.hh"

#include <gtest/gtest.h>

#include "cli/pod_command.hh"

namespace insomnia::cli {
namespace {

using Words = std::vector<std::string>;

template <class T>
T parsed(Words const& words) {
  auto result = parse_command_line(words);
  EXPECT_TRUE(result.command.has_value()) << result.text;
  if (!result.command || !std::holds_alternative<T>(*result.command)) {
    ADD_FAILURE() << "another command";
    return {};
  }
  return std::get<T>(*result.command);
}

TEST(CommandLine, Usage) {
  EXPECT_EQ(parsed<UsageOptions>({"usage", "--since", "7d", "--by", "model", "--json"}), (UsageOptions{"7d", "model", true}));
  EXPECT_EQ(parse_command_line({"usage", "--by", "colour"}).exit_code, kUsage);
  EXPECT_EQ(parsed<ProvidersOptions>({"providers"}), ProvidersOptions{});
  EXPECT_EQ(moment_of("2d", 1'000'000'000), 1'000'000'000 - 172'800'000);
  EXPECT_EQ(moment_of("90m", 10'000'000), 4'600'000);
  EXPECT_TRUE(moment_of("2026-11-01", 0));
  for (auto const* bad : {"", "d", "7", "7y", "-1d", "2026-11", "tomorrow", "7dd"}) EXPECT_FALSE(moment_of(bad, 0)) << bad;
}

TEST(CommandLine, Secret) {
  EXPECT_EQ(parsed<SecretOptions>({"secret", "list"}), SecretOptions{});
  EXPECT_EQ(parsed<SecretOptions>({"secret", "set", "openai"}), (SecretOptions{SecretOptions::Action::Set, "openai"}));
  EXPECT_EQ(parsed<SecretOptions>({"secret", "remove", "openai"}), (SecretOptions{SecretOptions::Action::Remove, "openai"}));
  EXPECT_EQ(parse_command_line({"secret", "set", "openai", "sk-1"}).exit_code, kUsage) << "a key does not belong into the shell's history";
  EXPECT_EQ(parse_command_line({"secret"}).exit_code, kUsage);
}

TEST(CommandLine, ProfileAndTrust) {
  EXPECT_EQ(parsed<ProfileOptions>({"profile", "list", "--json"}), (ProfileOptions{ProfileOptions::Action::List, "", false, true}));
  EXPECT_EQ(parsed<ProfileOptions>({"profile", "show"}), (ProfileOptions{ProfileOptions::Action::Show, "", false, false}));
  EXPECT_EQ(parsed<ProfileOptions>({"profile", "check", "./x.lua"}), (ProfileOptions{ProfileOptions::Action::Check, "./x.lua", false, false}));
  EXPECT_EQ(parsed<ProfileOptions>({"profile", "new", "x", "--project"}), (ProfileOptions{ProfileOptions::Action::New, "x", true, false}));
  EXPECT_EQ(parse_command_line({"profile"}).exit_code, kUsage);
  EXPECT_EQ(parse_command_line({"profile", "new"}).exit_code, kUsage);
  EXPECT_EQ(parsed<TrustOptions>({"trust"}), TrustOptions{});
  EXPECT_EQ(parsed<TrustOptions>({"trust", "--revoke", "--yes"}), (TrustOptions{false, true, true}));
  EXPECT_EQ(parse_command_line({"trust", "--show", "--revoke"}).exit_code, kUsage);
}

TEST(CommandLine, RunTakesAllItsOptions) {
  auto run = parsed<RunOptions>({"run", "fix it", "--name", "web", "--manifest", "m.toml", "--model", "a/b",
                                 "--scope", "read:/w", "--scope", "write:src", "--cwd", "/w", "--json",
                                 "--keep", "--max-turns", "7"});
  EXPECT_EQ(run.task, "fix it");
  EXPECT_EQ(run.name, "web");
  EXPECT_EQ(run.manifest, "m.toml");
  EXPECT_EQ(run.model, "a/b");
  EXPECT_EQ(run.scope, (Words{"read:/w", "write:src"}));
  EXPECT_EQ(run.cwd, "/w");
  EXPECT_TRUE(run.json);
  EXPECT_TRUE(run.keep);
  EXPECT_FALSE(run.detach);
  EXPECT_EQ(run.max_turns, 7u);
}

TEST(CommandLine, AScopeDoesNotSwallowTheTask) {
  auto run = parsed<RunOptions>({"run", "--scope", "read:/w", "fix it"});
  EXPECT_EQ(run.scope, Words{"read:/w"});
  EXPECT_EQ(run.task, "fix it");
}

TEST(CommandLine, AHyphenMeansStandardInput) {
  EXPECT_EQ(parsed<RunOptions>({"run", "-"}).task, "-");
  EXPECT_EQ(parsed<SendOptions>({"send", "web", "-"}), (SendOptions{"web", "-"}));
}

TEST(CommandLine, AfterTwoHyphensATaskMayBeginWithOne) {
  EXPECT_EQ(parsed<RunOptions>({"run", "--", "-v is broken"}).task, "-v is broken");
}

TEST(CommandLine, TheOtherCommands) {
  EXPECT_EQ(parsed<PsOptions>({"ps"}), PsOptions{});
  EXPECT_EQ(parsed<PsOptions>({"ps", "--tree", "--json"}), (PsOptions{.tree = true, .json = true}));
  EXPECT_EQ(parsed<PsOptions>({"ps", "-a"}), PsOptions{.all = true});
  EXPECT_EQ(parsed<PsOptions>({"ps", "--all", "--tree"}), (PsOptions{.all = true, .tree = true}));
  EXPECT_EQ(parsed<ScopeOptions>({"scope", "src", "--json"}), (ScopeOptions{.path = "src", .json = true}));
  EXPECT_EQ(parsed<ScopeOptions>({"scope", "--", "-odd"}), ScopeOptions{"-odd"});
  EXPECT_EQ(parsed<AttachOptions>({"attach", "web"}), AttachOptions{"web"});
  EXPECT_EQ(parsed<SendOptions>({"send", "web", "go on"}), (SendOptions{"web", "go on"}));
  EXPECT_EQ(parsed<ReadOptions>({"read", "web", "--last", "3"}), (ReadOptions{.name = "web", .last = 3}));
  EXPECT_EQ(parsed<StopOptions>({"stop", "web"}), StopOptions{"web"});
  EXPECT_EQ(parsed<StopOptions>({"stop", "--tree", "--force", "web", "--timeout", "2"}),
            (StopOptions{.name = "web", .tree = true, .force = true, .timeout_seconds = 2}));
  EXPECT_EQ(parsed<LogsOptions>({"logs", "-f", "web"}), (LogsOptions{.name = "web", .follow = true}));
  EXPECT_EQ(parsed<DoctorOptions>({"doctor", "--json"}), DoctorOptions{true});
  EXPECT_EQ(parsed<CellOptions>({"cell", "--scope", "write:src", "--network", "none", "--", "make", "-j", "--explain"}),
            (CellOptions{.scope = {"write:src"}, .network = "none", .command = {"make", "-j", "--explain"}}));
  EXPECT_EQ(parsed<CellOptions>({"cell", "--isolation", "landlock", "--explain"}), (CellOptions{.isolation = "landlock", .explain = true}));
  EXPECT_EQ(parsed<ExecOptions>({"exec", "web", "--cwd", "src", "--env", "A", "--env", "B", "--", "make", "--env", "-j"}),
            (ExecOptions{.name = "web", .cwd = "src", .env = {"A", "B"}, .command = {"make", "--env", "-j"}}));
  EXPECT_EQ(parsed<VersionOptions>({"version"}), VersionOptions{});
  EXPECT_EQ(parsed<VersionOptions>({"--version"}), VersionOptions{});
  EXPECT_EQ(parsed<DemoOptions>({"demo"}), DemoOptions{});
  EXPECT_EQ(parsed<DemoOptions>({"demo", "--keep"}), DemoOptions{true});
}

TEST(CommandLine, HelpGoesToStdoutAndTeaches) {
  for (Words const& words : {Words{"help"}, Words{"--help"}, Words{"-h"}}) {
    auto result = parse_command_line(words);
    EXPECT_FALSE(result.command);
    EXPECT_EQ(result.exit_code, kFinished);
    for (char const* part : {"insomnia demo", "Examples", "Exit codes", "run", "doctor"}) {
      EXPECT_NE(result.text.find(part), std::string::npos) << part;
    }
  }
  for (Words const& words : {Words{"help", "run"}, Words{"run", "--help"}}) {
    auto result = parse_command_line(words);
    EXPECT_EQ(result.exit_code, kFinished);
    EXPECT_NE(result.text.find("--max-turns"), std::string::npos) << result.text;
    EXPECT_NE(result.text.find("Ctrl-C"), std::string::npos);
  }
}

TEST(CommandLine, EveryCommandHasHelp) {
  for (char const* name : {"run", "ps", "scope", "attach", "send", "read", "stop", "logs", "doctor", "demo", "cell", "exec", "profile", "trust", "secret", "usage", "providers", "models", "prompt", "restore",
                           "version", "help"}) {
    auto result = parse_command_line({"help", name});
    EXPECT_EQ(result.exit_code, kFinished) << name;
    EXPECT_NE(result.text.find("Exit codes"), std::string::npos) << name;
  }
}

TEST(CommandLine, WhatIsWrongIsNamedAndIsAUsageError) {
  struct Case {
    Words words;
    std::string named;
  };
  for (auto const& [words, named] : std::vector<Case>{{{}, "Examples"},
                                                      {{"fly"}, "fly"},
                                                      {{"help", "fly"}, "fly"},
                                                      {{"run"}, "TASK"},
                                                      {{"run", "fix", "the", "bug"}, "quotes"},
                                                      {{"run", "x", "--wings"}, "--wings"},
                                                      {{"run", "x", "--max-turns", "0"}, "--max-turns"},
                                                      {{"run", "x", "--max-turns", "many"}, "--max-turns"},
                                                      {{"run", "x", "--name"}, "--name"},
                                                      {{"ps", "web"}, "web"},
                                                      {{"scope"}, "PATH"},
                                                      {{"scope", "a", "b"}, "b"},
                                                      {{"attach"}, "NAME"},
                                                      {{"send", "web"}, "MESSAGE"},
                                                      {{"read", "web", "--last", "0"}, "--last"},
                                                      {{"stop", "web", "--timeout", "-1"}, "--timeout"}}) {
    auto result = parse_command_line(words);
    EXPECT_FALSE(result.command);
    EXPECT_EQ(result.exit_code, kUsage);
    EXPECT_NE(result.text.find(named), std::string::npos) << result.text;
  }
}

TEST(PodCommand, TakesItsOptionsInBothForms) {
  auto options = parse_pod_options(
      {"--pod", "web", "--spawn-config-fd=3", "--ready-fd", "4", "--adopt", "--callback", "/run/x/sock"});
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->name, "web");
  EXPECT_EQ(options->spawn_config_fd, 3);
  EXPECT_EQ(options->ready_fd, 4);
  EXPECT_TRUE(options->adopt);
  EXPECT_EQ(options->callback, "/run/x/sock");

  options = parse_pod_options(
      {"--manifest=a=b.toml", "--model", "a/b", "--workspace", "/w", "--require-pod-state", "--pod", "x"});
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->manifest_path, "a=b.toml");
  EXPECT_EQ(options->model, "a/b");
  EXPECT_EQ(options->workspace, "/w");
  EXPECT_TRUE(options->require_pod_state);
}

// Case 144.
TEST(PodCommand, ItsHelpTellsTheCallAndTheName) {
  EXPECT_TRUE(pod_usage().starts_with("Usage: insomnia pod"));
  EXPECT_NE(pod_usage().find("--pod NAME"), std::string::npos);
}

// Case 146: the name goes with every other option.
TEST(PodCommand, TheNameGoesWithAProfileAndAManifest) {
  for (auto* option : {"--profile", "--manifest"}) {
    auto options = parse_pod_options({"--pod", "web", option, "x"});
    ASSERT_TRUE(options.has_value()) << options.error().message;
    EXPECT_EQ(options->name, "web");
  }
}

// Case 143, 145, 149.
TEST(PodCommand, ContradictionsAndUnknownOptionsAreRefused) {
  struct Case {
    Words words;
    std::string named;
  };
  for (auto const& [words, named] :
       std::vector<Case>{{{"--adopt"}, "--adopt requires --callback"},
                         {{"--callback", "/s"}, "--callback requires --adopt"},
                         {{"--project", "/p"}, "--project is no longer supported"},
                         {{"--project", "."}, "--project is no longer supported"},
                         {{"--overlay", "x"}, "--overlay"},
                         {{"--user-manifest", "x"}, "--user-manifest"},
                         {{"--session", "x"}, "--session"},
                         {{"--profile-pod-name", "x"}, "--profile-pod-name"},
                         {{"stray"}, "stray"},
                         {{"--pod"}, "--pod needs a value"},
                         {{"--pod="}, "--pod needs a value"},
                         {{"--pod", "a", "--pod", "b"}, "twice"},
                         {{"--pod", "../x"}, "invalid Pod name"},
                         {{"--ready-fd", "x"}, "--ready-fd"},
                         {{"--ready-fd", "-1"}, "--ready-fd"},
                         {{"--manifest", "m", "--profile", "p"}, "exclude"},
                         {{"--spawn-config-fd", "3", "--spawn-config-json", "{}"}, "exclude"},
                         {{"--spawn-config-fd", "3", "--manifest", "m"}, "exclude"},
                         {{"--spawn-config-json", "{}", "--profile", "p"}, "exclude"},
                         {{"--adopt", "--callback", "/s", "--require-pod-state", "--pod", "x"}, "exclude"},
                         {{"--require-pod-state"}, "requires --pod"}}) {
    auto options = parse_pod_options(words);
    ASSERT_FALSE(options.has_value()) << named;
    EXPECT_EQ(options.error().code, Code::InvalidArgument);
    EXPECT_NE(options.error().message.find(named), std::string::npos) << options.error().message;
  }
}

}  // namespace
}  // namespace insomnia::cli
