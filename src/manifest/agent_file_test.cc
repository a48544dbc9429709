#include "manifest/agent_file.hh"

#include <gtest/gtest.h>

namespace insomnia::manifest {
namespace {

AgentFile parsed(std::string_view text) {
  auto agent = parse_agent_file(text, "a.md");
  EXPECT_TRUE(agent) << agent.error().message;
  return agent.value_or(AgentFile{});
}

std::string error_of(std::string_view text) {
  auto agent = parse_agent_file(text, "a.md");
  return agent ? "no error" : agent.error().message;
}

using Words = std::vector<std::string>;

TEST(AgentFile, NameDescriptionToolsModelAndPrompt) {
  auto agent = parsed(
      "---\nname: code-reviewer\ndescription: \"Reviews: everything\"\ntools: Read, Grep, MultiEdit, Edit\nmodel: sonnet\ncolor: red\n---\n\nYou review {{ "
      "code }}.\n\n---\nAlways.\n");
  EXPECT_EQ(agent.profile.slug, "code-reviewer");
  EXPECT_EQ(agent.profile.description, "Reviews: everything");
  EXPECT_EQ(agent.profile.config.tools->allow, (Words{"Read", "Grep", "Edit"}));
  EXPECT_EQ(agent.profile.config.model.ref, "anthropic/claude-sonnet-4-6");
  EXPECT_EQ(agent.profile.config.worker.instruction_text, "You review {{ code }}.\n\n---\nAlways.") << "as it stands";
  EXPECT_TRUE(agent.unmapped.empty());
}

TEST(AgentFile, ToolsInEveryForm) {
  for (auto const* tools : {"tools: Read, Bash", "tools: [Read, Bash]", "tools:\n  - Read\n  - Bash", "tools: \"Read,Bash\""}) {
    EXPECT_EQ(parsed("---\n" + std::string(tools) + "\n---\n").profile.config.tools->allow, (Words{"Read", "Bash"})) << tools;
  }
  for (auto const* all : {"", "tools: '*'\n", "tools:\n", "tools: []\n"})
    EXPECT_FALSE(parsed("---\n" + std::string(all) + "---\n").profile.config.tools) << all;
  EXPECT_EQ(parsed("---\ntools: Task\n---\n").profile.config.tools->allow,
            (Words{"ListPods", "ReadPodOutput", "RestorePod", "SendToPod", "SpawnPod", "StopPod", "WaitForPods"}));
  EXPECT_EQ(parsed("---\ndisallowedTools: Write, Edit\n---\n").profile.config.tools->deny, (Words{"Write", "Edit"}));
}

TEST(AgentFile, WhatHasNoCounterpartIsSaidAndGivesNothing) {
  auto agent = parsed(
      "---\ntools: Read, NotebookEdit, mcp__db__query, Bash(git diff:*, git log:*)\nmodel: gpt-5\nhooks:\n  PreToolUse: []\npermissionMode: "
      "bypassPermissions\n---\n");
  EXPECT_EQ(agent.profile.config.tools->allow, Words{"Read"});
  EXPECT_EQ(agent.unmapped,
            (Words{"tools: NotebookEdit", "tools: mcp__db__query", "tools: Bash(git diff:*, git log:*)", "model: gpt-5", "hooks", "permissionMode"}));
  EXPECT_FALSE(agent.profile.config.model.ref);
  EXPECT_EQ(parsed("---\ntools: NotebookEdit\n---\n").profile.config.tools->allow, Words{kNoTool}) << "none, not all";
}

TEST(AgentFile, Models) {
  auto model = [](std::string const& name) { return parsed("---\nmodel: " + name + "\n---\n").profile.config.model.ref.value_or(""); };
  EXPECT_EQ(model("opus"), "anthropic/claude-opus-4-8");
  EXPECT_EQ(model("haiku"), "anthropic/claude-haiku-4-5");
  EXPECT_EQ(model("claude-sonnet-4-6"), "anthropic/claude-sonnet-4-6");
  EXPECT_EQ(model("inherit"), "");
}

TEST(AgentFile, FrontMatterThatIsNoYamlIsReadLineByLine) {
  auto agent = parsed(
      "---\nname: helper\ndescription: Use this: when asked. Examples: <example>user: \"x\"</example>\n  more of it\ntools: Read, Grep\nmodel: "
      "opus\n---\nPrompt");
  EXPECT_EQ(agent.profile.slug, "helper");
  EXPECT_EQ(agent.profile.description, "Use this: when asked. Examples: <example>user: \"x\"</example> more of it");
  EXPECT_EQ(agent.profile.config.tools->allow, (Words{"Read", "Grep"}));
  EXPECT_EQ(agent.profile.config.worker.instruction_text, "Prompt");
}

TEST(AgentFile, BlockTextsAndByteOrderMark) {
  EXPECT_EQ(parsed("\xEF\xBB\xBF---\ndescription: >\n  one\n  two\nname: |\n  n\n---\n").profile.description, "one two\n");
  EXPECT_EQ(parsed("---\r\nname: a\r\n---\r\nPrompt\r\n").profile.slug, "a");
  EXPECT_FALSE(parsed("---\nname: a\n---").profile.config.worker.instruction_text);
}

TEST(AgentFile, ErrorsNameTheFile) {
  EXPECT_EQ(error_of("name: a"), "a.md:1:1: there is no front matter; the first line must be ---");
  EXPECT_EQ(error_of(""), "a.md:1:1: there is no front matter; the first line must be ---");
  EXPECT_EQ(error_of("---\nname: a\n"), "a.md:1:1: the front matter is not closed by a line ---");
  EXPECT_EQ(error_of("---\n- a\n---\n"), "a.md:2:1: front matter must be a table of keys");
  EXPECT_EQ(error_of("---\nname: [a]\n---\n"), "a.md: name: must be a text");
  EXPECT_EQ(error_of("---\ntools: { a: b }\n---\n"), "a.md: tools: must be a list of tools");
  EXPECT_EQ(error_of("---\nname: \xff\n---\n"), "a.md: it is not UTF-8 text");
  EXPECT_EQ(error_of("---\n" + std::string(70'000, '#') + "\n---\n"), "a.md:1:1: the front matter has more than 64 KiB");
}

TEST(AgentFile, BombsAreRefusedOrCostNothing) {
  EXPECT_FALSE(parsed("---\na: &a [x]\nb: [*a, *a]\nname: n\n---\n").unmapped.empty()) << "read line by line: anchors mean nothing";
  std::string deep = "---\nx: " + std::string(5000, '[') + std::string(5000, ']') + "\n---\n";
  EXPECT_EQ(parsed(deep).unmapped, Words{"x"});
  EXPECT_EQ(parsed("---\nname: a\nname: b\n---\n").profile.slug, "b") << "a key given twice: line by line the last one counts";
}

}  // namespace
}  // namespace insomnia::manifest
