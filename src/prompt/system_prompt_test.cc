#include "prompt/system_prompt.hh"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/io.hh"

namespace insomnia::prompt {
namespace {

SystemPromptInput input() {
  SystemPromptInput out;
  out.pod_name = "builder";
  out.cwd = "/w/project";
  out.language = "match the user";
  out.wall_ms = 1'700'000'000'000;  // 2023-11-14T22:13:20Z
  out.tools = {"SpawnPod", "Read", "Edit", "Bash"};
  out.scope_summary = "Readable:\n  - /w";
  return out;
}

class SystemPrompt : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/insomnia-system-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = *io::real_path(pattern);
    ASSERT_TRUE(io::make_directories(root_ + "/config/prompts"));
    ASSERT_TRUE(io::make_directories(root_ + "/work"));
  }
  void TearDown() override { EXPECT_TRUE(io::remove_tree(root_)); }

  std::string built(SystemPromptInput const& from) {
    auto catalog = PromptCatalog::load(PromptSources::standard(root_ + "/config", root_ + "/work"));
    EXPECT_TRUE(catalog) << catalog.error().message;
    auto text = build_system_prompt(from, *catalog);
    return text ? *text : "ERROR " + text.error().message;
  }
  Result<std::optional<std::string>> agents_md(std::string const& cwd) {
    return read_agents_md(root_ + cwd, root_ + cwd, [](std::string const&) { return true; });
  }
  std::string own_template(std::string_view text) {
    EXPECT_TRUE(io::replace_file(root_ + "/config/prompts/own.md", text));
    SystemPromptInput from = input();
    from.instruction = "$user/own";
    return built(from);
  }

  std::string root_;
};

TEST_F(SystemPrompt, ATextInPlaceOfATemplateIsTakenAsItStandsBeforeTheTail) {
  SystemPromptInput from = input();
  from.instruction_text = "You are {{ nobody }}.";
  EXPECT_TRUE(built(from).starts_with("You are {{ nobody }}.\n\n## Working boundaries\n\n")) << built(from);
}

TEST_F(SystemPrompt, DefaultTellsWhoWhereAndWhat) {
  std::string text = built(input());
  for (char const* part :
       {"`builder`", "/w/project", "2023-11-14", "Bash, Edit, Read, SpawnPod", "## Scope", "## Delegation",
        "match the user", "## Working boundaries\n\nReadable:\n  - /w\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_EQ(text.find("Another Pod started you"), std::string::npos);
  EXPECT_EQ(text.find("\n\n\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("{%"), std::string::npos);
  EXPECT_GT(text.size(), 2000u);
  EXPECT_LT(text.size(), 3800u) << "every request pays for it";
}

TEST_F(SystemPrompt, SpeaksOnlyOfWhatIsThere) {
  SystemPromptInput from = input();
  from.tools = {"Read"};
  from.is_child = true;
  std::string text = built(from);
  EXPECT_EQ(text.find("## Delegation"), std::string::npos);
  EXPECT_EQ(text.find("Prefer Edit"), std::string::npos);
  EXPECT_EQ(text.find("run the tests"), std::string::npos);
  EXPECT_NE(text.find("Another Pod started you"), std::string::npos);
  EXPECT_EQ(text.find("\n\n\n"), std::string::npos) << text;
}

TEST_F(SystemPrompt, VariablesOfATemplate) {
  EXPECT_TRUE(own_template("{{ date }} {{ time }} {{ datetime }} {{ cwd }} {{ tools }} {{ language }}\n\n\n")
                  .starts_with("2023-11-14 22:13:20 2023-11-14T22:13:20Z /w/project Bash, Edit, Read, "
                               "SpawnPod match the user\n\n## Working"))
      << own_template("{{ date }}");
  EXPECT_EQ(own_template("{{ files }}"), "ERROR prompt `$user/own`, line 1: variable `files` is not defined");
  EXPECT_EQ(own_template("\n{% oops %}").find("ERROR prompt `$user/own`, line 2: unknown tag"), 0u);
}

TEST_F(SystemPrompt, NoTemplateCanDropTheBoundaries) {
  EXPECT_NE(own_template("Hi.").find("Hi.\n\n## Working boundaries\n\nReadable:\n  - /w"), std::string::npos);
}

TEST_F(SystemPrompt, TailInItsOrder) {
  SystemPromptInput from = input();
  from.agents_md = "Use tabs. {{ not_a_variable }}\n\n";
  from.memory_summary = "REMEMBER";
  from.knowledge_entries = "- k: knowledge";
  from.workflow_entries = "- w: workflow";
  std::string text = built(from);
  size_t at = 0;
  for (char const* part : {"## Working boundaries", "AGENTS.md", "Use tabs. {{ not_a_variable }}", "REMEMBER",
                           "- k: knowledge", "- w: workflow"}) {
    size_t found = text.find(part, at);
    ASSERT_NE(found, std::string::npos) << part;
    at = found;
  }
  EXPECT_TRUE(text.ends_with("- w: workflow")) << "no blank at the end";
  from.agents_md = "  \n";
  EXPECT_EQ(built(from).find("AGENTS.md"), std::string::npos) << "an empty file has no section";
}

TEST_F(SystemPrompt, MissingInstructionIsAnError) {
  SystemPromptInput from = input();
  from.instruction = "$workspace/none";
  EXPECT_TRUE(built(from).starts_with("ERROR prompt `$workspace/none`: there is no file"));
}

TEST_F(SystemPrompt, AgentsMdIsReadOrAbsent) {
  EXPECT_EQ(*agents_md("/work"), std::nullopt);
  EXPECT_EQ(*agents_md("/missing"), std::nullopt);
  ASSERT_TRUE(io::replace_file(root_ + "/work/AGENTS.md", "text\n"));
  EXPECT_EQ(*agents_md("/work"), "text\n");
}

TEST_F(SystemPrompt, AgentsMdFromTheWorkspaceDownTheNearestLast) {
  ASSERT_TRUE(io::make_directories(root_ + "/work/a/b"));
  ASSERT_TRUE(io::replace_file(root_ + "/AGENTS.md", "outside"));
  ASSERT_TRUE(io::replace_file(root_ + "/work/AGENTS.md", "top\n"));
  ASSERT_TRUE(io::replace_file(root_ + "/work/a/AGENTS.md", "  \n"));
  ASSERT_TRUE(io::replace_file(root_ + "/work/a/b/AGENTS.md", "near"));
  auto read = [&](std::string const& cwd, std::string const& hidden) {
    return read_agents_md(root_ + cwd, root_ + "/work", [&](std::string const& path) { return path != root_ + hidden; });
  };
  EXPECT_EQ(*read("/work/a/b", ""), root_ + "/work/AGENTS.md:\n\ntop\n\n" + root_ + "/work/a/b/AGENTS.md:\n\nnear");
  EXPECT_EQ(*read("/work/a", ""), "top\n") << "an empty one says nothing";
  EXPECT_EQ(*read("/work/a/b", "/work/AGENTS.md"), "near") << "what the Pod may not read it does not get";
  EXPECT_EQ(*read("/config", ""), std::nullopt);
  EXPECT_EQ(*read("", ""), "outside") << "beside the workspace: its own alone";
  ASSERT_TRUE(io::replace_file(root_ + "/work/AGENTS.md", std::string(200 << 10, 'x')));
  ASSERT_TRUE(io::replace_file(root_ + "/work/a/b/AGENTS.md", std::string(200 << 10, 'x')));
  EXPECT_NE(read("/work/a/b", "").error().message.find(root_ + "/work/a/b/AGENTS.md is the first that is too much"), std::string::npos);
}

TEST_F(SystemPrompt, AgentsMdThatCantBeUsedIsAnError) {
  auto error = [&] { return agents_md("/work").error().message; };
  ASSERT_TRUE(io::replace_file(root_ + "/work/AGENTS.md", "\xff\xfe"));
  EXPECT_NE(error().find("not UTF-8"), std::string::npos);
  ASSERT_TRUE(io::replace_file(root_ + "/work/AGENTS.md", std::string(300 << 10, 'x')));
  EXPECT_NE(error().find("AGENTS.md"), std::string::npos);
  ASSERT_EQ(::unlink((root_ + "/work/AGENTS.md").c_str()), 0);
  ASSERT_EQ(::mkdir((root_ + "/work/AGENTS.md").c_str(), 0700), 0);
  EXPECT_NE(error().find("not a regular file"), std::string::npos);
}

TEST_F(SystemPrompt, AgentsMdLinkMustNotLeaveTheWorkingDirectory) {
  ASSERT_TRUE(io::replace_file(root_ + "/secret", "secret"));
  ASSERT_EQ(::symlink("../secret", (root_ + "/work/AGENTS.md").c_str()), 0);
  auto text = agents_md("/work");
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, Code::PermissionDenied);
  ASSERT_EQ(::unlink((root_ + "/work/AGENTS.md").c_str()), 0);
  ASSERT_TRUE(io::replace_file(root_ + "/work/CLAUDE.md", "shared"));
  ASSERT_EQ(::symlink("CLAUDE.md", (root_ + "/work/AGENTS.md").c_str()), 0);
  EXPECT_EQ(*agents_md("/work"), "shared");
}

}  // namespace
}  // namespace insomnia::prompt
