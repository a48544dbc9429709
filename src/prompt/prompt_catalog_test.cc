#include "prompt/prompt_catalog.hh"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/io.hh"

namespace insomnia::prompt {
namespace {

/// Fresh directories for a configuration and a workspace.
class PromptFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/insomnia-prompt-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = *io::real_path(pattern);
  }
  void TearDown() override { EXPECT_TRUE(io::remove_tree(root_)); }

  void write(std::string const& relative, std::string_view text) {
    std::string path = root_ + "/" + relative;
    ASSERT_TRUE(io::make_directories(io::parent_path(path)));
    ASSERT_TRUE(io::replace_file(path, text));
  }
  PromptSources sources(std::string const& pack = "") const {
    return PromptSources::standard(root_ + "/config", root_ + "/work",
                                   pack.empty() ? "" : root_ + "/" + pack);
  }
  PromptCatalog catalog(std::string const& pack = "") const {
    auto loaded = PromptCatalog::load(sources(pack));
    EXPECT_TRUE(loaded) << loaded.error().message;
    return *std::move(loaded);
  }
  std::string load_error(std::string const& pack = "") const {
    auto loaded = PromptCatalog::load(sources(pack));
    if (loaded) return "no error";
    std::string message = loaded.error().message;
    if (auto at = message.find(root_); at != std::string::npos) message.replace(at, root_.size(), "ROOT");
    return message;
  }
  static std::string text_of(Result<std::string> const& result) {
    return result ? *result : "ERROR " + result.error().message;
  }

  std::string root_;
};

TEST_F(PromptFiles, EmbeddedPackHasEveryText) {
  PromptCatalog prompts = catalog();
  EXPECT_EQ(text_of(prompts.render("interrupt_tool_result_summary", {})), "[Interrupted by user]");
  std::string notice = text_of(prompts.render("notify_wrapper", {{"message", "pod `x` finished a turn"}}));
  EXPECT_TRUE(notice.starts_with("[Notification]\npod `x` finished a turn\n\nThis is not a blocking request"))
      << notice;
  EXPECT_NE(text_of(prompts.render("compact_system", {})).find("write_summary"), std::string::npos);
  EXPECT_NE(text_of(prompts.render("memory_extract_system", {{"language", "Latin"}})).find("Latin"),
            std::string::npos);
  EXPECT_NE(text_of(prompts.render("memory_consolidation_system", {{"language", "Latin"}})).find("Latin"),
            std::string::npos);
  EXPECT_NE(text_of(prompts.render("interrupt_system_note", {})).find("interrupted"), std::string::npos);
  for (char const* key : {"resident_knowledge_section", "resident_workflows_section"}) {
    EXPECT_NE(text_of(prompts.render(key, {{"entries", "- one"}})).find("- one"), std::string::npos);
  }
}

TEST_F(PromptFiles, SpawnPodDescription) {
  Variables variables{{"available_profiles", "- `builtin:default` (default) — General"},
                      {"default_profile", "builtin:default"},
                      {"profile_diagnostic", ""}};
  std::string text = text_of(catalog().render("spawn_pod_tool_description", variables));
  EXPECT_NE(text.find("\n- `builtin:default` (default) — General\n"), std::string::npos) << text;
  EXPECT_NE(text.find("the default is used (`builtin:default`)"), std::string::npos) << text;
  EXPECT_EQ(text.find("could be read"), std::string::npos);
  variables["profile_diagnostic"] = "x is broken";
  EXPECT_NE(
      text_of(catalog().render("spawn_pod_tool_description", variables)).find("could be read: x is broken"),
      std::string::npos);
}

TEST_F(PromptFiles, MissingInputAndUnknownKeyAreErrors) {
  EXPECT_NE(text_of(catalog().render("notify_wrapper", {}))
                .find("notify_wrapper`, line 2: variable `message` is not defined"),
            std::string::npos)
      << text_of(catalog().render("notify_wrapper", {}));
  EXPECT_NE(text_of(catalog().render("nonsense", {})).find("no key `nonsense`"), std::string::npos);
}

TEST_F(PromptFiles, LayersReplaceEachOther) {
  auto note = [&](std::string const& pack = "") {
    return text_of(catalog(pack).render("interrupt_system_note", {}));
  };
  write("config/prompts.toml",
        "[prompt]\ninterrupt_system_note = 'user'\nnotify_wrapper = 'U {{ message }}'\n");
  EXPECT_EQ(note(), "user");
  write("work/.insomnia/prompts.toml", "[prompt]\ninterrupt_system_note = 'workspace'\n");
  EXPECT_EQ(note(), "workspace");
  write("pack.toml", "[prompt]\ninterrupt_system_note = 'pack'\n");
  EXPECT_EQ(note("pack.toml"), "pack");
  EXPECT_EQ(text_of(catalog("pack.toml").render("notify_wrapper", {{"message", "m"}})), "U m")
      << "other keys stay";
}

TEST_F(PromptFiles, PackErrorsTellThePlace) {
  write("pack.toml", "[prompt]\n\nnonsense = 'x'\n");
  EXPECT_TRUE(
      load_error("pack.toml")
          .starts_with("ROOT/pack.toml:3:1: prompt.nonsense: unknown key; known here: compact_system"));
  write("pack.toml", "[prompt]\nnotify_wrapper = 3\n");
  EXPECT_EQ(load_error("pack.toml"), "ROOT/pack.toml:2:1: prompt.notify_wrapper: must be a string");
  write("pack.toml", "[prompt]\nnotify_wrapper = '''\na\n{{ b'''\n");
  EXPECT_EQ(load_error("pack.toml"),
            "prompt `ROOT/pack.toml: notify_wrapper`, line 2: `{{` is not closed by `}}`");
  write("pack.toml", "prompts = 1");
  EXPECT_EQ(load_error("pack.toml"), "ROOT/pack.toml:1:1: prompts: a prompt pack has one table, [prompt]");
  write("config/prompts.toml", "[prompt");
  EXPECT_TRUE(load_error().starts_with("ROOT/config/prompts.toml:1:"));
  EXPECT_TRUE(load_error("none.toml").find("prompts.toml") != std::string::npos) << "lower layers come first";
}

TEST_F(PromptFiles, NamedPackMustExist) {
  EXPECT_EQ(load_error("none.toml").find("pod.prompt_pack: open ROOT/none.toml"), 0u);
}

TEST_F(PromptFiles, ReferencesWorkInEveryLibrary) {
  write("config/prompts/a.md", "user {{ v }}");
  write("work/.insomnia/prompts/deep/b.md", "workspace {{ v }}");
  PromptCatalog prompts = catalog();
  EXPECT_EQ(text_of(prompts.render_file("$user/a", {{"v", "1"}})), "user 1");
  EXPECT_EQ(text_of(prompts.render_file("$user/a.md", {{"v", "1"}})), "user 1");
  EXPECT_EQ(text_of(prompts.render_file("$workspace/deep/b", {{"v", "2"}})), "workspace 2");
  EXPECT_NE(text_of(prompts.render_file("$insomnia/internal/compact_system", {})).find("write_summary"),
            std::string::npos);
}

TEST_F(PromptFiles, IncludesAreRelativeAndCrossLibraries) {
  write("config/prompts/deep/main.md", "{% include \"part\" %} {% include \"$workspace/x\" %}");
  write("config/prompts/deep/part.md", "part\n");
  write("work/.insomnia/prompts/x.md", "x");
  write("config/prompts.toml", "[prompt]\ninterrupt_system_note = '{% include \"deep/part\" %}'");
  PromptCatalog prompts = catalog();
  EXPECT_EQ(text_of(prompts.render_file("$user/deep/main", {})), "part x");
  EXPECT_EQ(text_of(prompts.render("interrupt_system_note", {})), "part")
      << "relative to the library of the pack";
}

TEST_F(PromptFiles, PackOfTheManifestNeedsAPrefixInItsIncludes) {
  write("pack.toml", "[prompt]\ninterrupt_system_note = '{% include \"part\" %}'");
  EXPECT_NE(text_of(catalog("pack.toml").render("interrupt_system_note", {}))
                .find("must begin with $insomnia/, $user/ or $workspace/ here"),
            std::string::npos);
}

TEST_F(PromptFiles, ThereIsNoFallThrough) {
  write("config/prompts/a.md", "user");
  PromptCatalog prompts = catalog();
  EXPECT_EQ(text_of(prompts.render_file("$workspace/a", {})),
            "ERROR prompt `$workspace/a`: there is no file " + root_ + "/work/.insomnia/prompts/a.md");
  EXPECT_EQ(text_of(prompts.render_file("$user/default", {})),
            "ERROR prompt `$user/default`: there is no file " + root_ + "/config/prompts/default.md");
  EXPECT_NE(
      text_of(prompts.render_file("$insomnia/a", {})).find("does not exist; there are $insomnia/common/"),
      std::string::npos);
}

TEST_F(PromptFiles, BadReferencesAreRefused) {
  for (char const* reference :
       {"default", "/etc/passwd", "$other/x", "$user", "$user/", "$user/../x", "$user/a/../../x", "$user/./x",
        "$user//x", "$user/.md", "$insomnia/a\\b", "$user/a\nb", ""}) {
    EXPECT_FALSE(check_prompt_reference(reference)) << reference;
    EXPECT_FALSE(catalog().render_file(reference, {})) << reference;
  }
  EXPECT_TRUE(check_prompt_reference("$workspace/deep/x"));
}

TEST_F(PromptFiles, WorkspaceLinksMustNotLeaveTheirFolder) {
  write("secret", "secret");
  write("work/.insomnia/prompts/real.md", "real");
  ASSERT_EQ(::symlink((root_ + "/secret").c_str(), (root_ + "/work/.insomnia/prompts/out.md").c_str()), 0);
  ASSERT_EQ(::symlink("../../../secret", (root_ + "/work/.insomnia/prompts/up.md").c_str()), 0);
  ASSERT_EQ(::symlink("real.md", (root_ + "/work/.insomnia/prompts/in.md").c_str()), 0);
  PromptCatalog prompts = catalog();
  EXPECT_NE(text_of(prompts.render_file("$workspace/out", {})).find("leads out of"), std::string::npos);
  EXPECT_NE(text_of(prompts.render_file("$workspace/up", {})).find("leads out of"), std::string::npos);
  EXPECT_EQ(text_of(prompts.render_file("$workspace/in", {})), "real");
}

TEST_F(PromptFiles, SourcesMayBeAbsent) {
  auto loaded = PromptCatalog::load(PromptSources::standard("", ""));
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_NE(text_of(loaded->render_file("$user/x", {})).find("INSOMNIA_CONFIG_DIR"), std::string::npos);
}

}  // namespace
}  // namespace insomnia::prompt
