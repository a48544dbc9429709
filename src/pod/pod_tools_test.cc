#include "pod/pod_tools.hh"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>

#include "base/json.hh"

namespace insomnia::pod {
namespace {

// Case 139.
TEST(PodTools, HaveTheirNames) {
  std::set<std::string> names;
  for (auto const& tool : pod_tool_definitions("Start a Pod.")) names.insert(tool.name);
  EXPECT_EQ(names, (std::set<std::string>{"ListPods", "ReadPodOutput", "RestorePod", "SendToPod", "SpawnPod", "StopPod", "WaitForPods"}));
}

// Case 83.
TEST(PodTools, SpawnPodNeedsNameTaskAndScopeAndTakesADirectory) {
  auto tools = pod_tool_definitions("Start a Pod.");
  auto schema = json::parse_object(tools.at(0).input_schema);
  ASSERT_TRUE(schema) << schema.error().message;
  EXPECT_EQ(tools[0].description, "Start a Pod.");
  EXPECT_EQ(json::dump(schema->at("required")), R"(["name","task","scope"])");
  ASSERT_TRUE(schema->at("properties").as_object().contains("cwd"));
  EXPECT_EQ(schema->at("properties").at("cwd").at("type"), "string");
}

// Case 134: there is nothing to choose, and so nothing to get wrong.
TEST(PodTools, ListPodsTakesNothing) {
  auto tools = pod_tool_definitions("");
  auto list = std::find_if(tools.begin(), tools.end(), [](auto const& tool) { return tool.name == "ListPods"; });
  ASSERT_NE(list, tools.end());
  auto schema = json::parse_object(list->input_schema);
  ASSERT_TRUE(schema);
  EXPECT_TRUE(schema->at("properties").as_object().empty());
  EXPECT_FALSE(schema->contains("required"));
}

TEST(PodTools, InputIsDecodedWithItsDefaults) {
  auto input = decode_spawn_pod(R"({"name":"kid","task":"dig","scope":[{"target":"/w","permission":"write"},{"target":"/r","permission":"read","recursive":false}]})");
  ASSERT_TRUE(input) << input.error().message;
  EXPECT_EQ(input->name, "kid");
  EXPECT_EQ(input->task, "dig");
  EXPECT_EQ(input->scope, (std::vector<scope::ScopeRule>{{"/w", scope::Permission::Write, true}, {"/r", scope::Permission::Read, false}}));
  EXPECT_FALSE(input->profile || input->instruction || input->cwd);
  EXPECT_EQ(input->wait_for_scope_ms, 0);
  EXPECT_FALSE(input->end_when_done || input->die_with_parent);
}

}  // namespace
}  // namespace insomnia::pod
