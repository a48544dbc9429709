#include <gtest/gtest.h>

#include "base/io.hh"
#include "manifest/fields.hh"

namespace insomnia::manifest {
namespace {

std::string document() {
  auto text = io::read_file(INSOMNIA_SOURCE_DIR "/doc/manifest.md");
  EXPECT_TRUE(text) << text.error().message;
  return text.value_or("");
}

/// The lines from a heading to the next one.
std::string section(std::string const& document, std::string const& heading) {
  size_t start = document.find("\n" + heading);
  EXPECT_NE(start, std::string::npos) << heading;
  if (start == std::string::npos) return "";
  return document.substr(start, document.find("\n## ", start + 1) - start);
}

template <Described Struct>
void expect_keys(std::string const& text, std::string const& prefix = "") {
  for_each_field<Struct>([&](auto const& field) {
    EXPECT_NE(text.find("`" + prefix + std::string(field.key) + "`"), std::string::npos)
        << prefix << field.key;
    if (!field.alias.empty()) {
      EXPECT_NE(text.find("`" + std::string(field.alias) + "`"), std::string::npos) << field.alias;
    }
  });
}

TEST(ManifestDocument, NamesEveryKey) {
  std::string text = document();
  expect_keys<ModelManifest>(section(text, "## `[model]`"));
  expect_keys<Worker>(section(text, "## `[worker]`"));
  expect_keys<scope::ScopeRule>(section(text, "## `[scope]`"));
  expect_keys<Permissions>(section(text, "## `[permissions]`"));
  expect_keys<PermissionRule>(section(text, "## `[permissions]`"));
  expect_keys<Compaction>(section(text, "## `[compaction]`"));
  expect_keys<CompactionRatio>(section(text, "## `[compaction]`"));
  expect_keys<WebSearch>(section(text, "## `[web]`"), "search.");
  expect_keys<WebFetch>(section(text, "## `[web]`"), "fetch.");
  expect_keys<Memory>(section(text, "## `[memory]`"));
  expect_keys<Skills>(section(text, "## `[skills]`"));
  expect_keys<ToolSelection>(section(text, "## `[tools]`"));
  expect_keys<Sandbox>(section(text, "## `[sandbox]`"));
  expect_keys<Limits>(section(text, "## `[limits]`"));
  expect_keys<Budget>(section(text, "## `[budget]`"));
}

TEST(ManifestDocument, ItsExampleResolves) {
  std::string text = document();
  size_t start = text.find("```toml\n") + 8;
  auto config = parse_toml(text.substr(start, text.find("```", start) - start), "doc/manifest.md");
  ASSERT_TRUE(config) << config.error().message;
  auto manifest = resolve(resolve_paths(*config, "/project"), true);
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->config.scope.deny[0].target, "/project/secrets");
}

}  // namespace
}  // namespace insomnia::manifest
