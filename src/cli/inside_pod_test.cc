#include "cli/inside_pod.hh"

#include <gtest/gtest.h>

namespace insomnia::cli {
namespace {

TEST(InsidePod, WhatStartsPodsOrTalksToThemIsRefusedWithTheToolToUse) {
  Environment environment;
  EXPECT_FALSE(refusal_inside_pod("run", environment));
  environment.set("INSOMNIA_POD", "kid");
  auto refused = refusal_inside_pod("run", environment);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, Code::PermissionDenied);
  EXPECT_NE(refused->message.find("Pod `kid`"), std::string::npos);
  EXPECT_NE(refused->message.find("SpawnPod"), std::string::npos);
  for (auto subcommand : {"pod", "demo", "restore", "attach", "send", "stop", "trust", "secret"}) EXPECT_TRUE(refusal_inside_pod(subcommand, environment)) << subcommand;
  for (auto subcommand : {"ps", "scope", "read", "logs", "doctor", "version", ""}) EXPECT_FALSE(refusal_inside_pod(subcommand, environment)) << subcommand;
}

}  // namespace
}  // namespace insomnia::cli
