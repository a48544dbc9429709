#include "pod/hand_over.hh"

#include <gtest/gtest.h>

#include "scope/test_directory.hh"

namespace insomnia::pod {
namespace {

HandOver full() {
  HandOver result;
  result.config.pod_name = "kid";
  result.config.model.ref = "anthropic/model";
  result.config.scope.allow = {scope::write_rule("/w"), scope::read_rule("/r", false)};
  result.config.scope.deny = {scope::write_rule("/w/x")};
  result.ceilings.depth = 2;
  result.ceilings.tools = manifest::ToolSelection{.allow = {}, .deny = {"Bash"}};
  result.pod_id = "p";
  result.instance_id = "i";
  result.parent = ParentLink{"pp", "pi", "root", "/run/root/sock"};
  result.cwd = "/w";
  result.workspace_root = "/";
  result.task = "say \"ü\"\nand go";
  result.profile = "builtin:default";
  result.exit_when_settled = true;
  return result;
}

TEST(HandOver, RoundTrip) {
  auto back = decode_hand_over(encode_hand_over(full()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, full());
}

TEST(HandOver, RoundTripWithoutParentOrIds) {
  HandOver plain;
  plain.config.pod_name = "solo";
  auto back = decode_hand_over(encode_hand_over(plain));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, plain);
}

// Case 87, 88: references to keys travel, keys do not.
TEST(HandOver, KeepsTheReferenceToAKey) {
  HandOver plain;
  plain.config.model.auth = manifest::Auth{.kind = manifest::Auth::Kind::ApiKey, .env = "MY_KEY", .file = "/keys/one", .ref = ""};
  auto back = decode_hand_over(encode_hand_over(plain));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->config.model.auth, plain.config.model.auth);
}

struct BadHandOver {
  char const* text;
  char const* says;
};
class HandOverErrors : public testing::TestWithParam<BadHandOver> {};

TEST_P(HandOverErrors, NameWhatIsWrong) {
  auto result = decode_hand_over(GetParam().text);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find(GetParam().says), std::string::npos) << result.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    All, HandOverErrors,
    testing::Values(BadHandOver{"", "JSON"}, BadHandOver{"[]", "object"}, BadHandOver{"{}", "config"},
                    BadHandOver{R"({"config":{},"surprise":1})", "surprise"}, BadHandOver{R"({"config":{"surprise":1}})", "surprise"},
                    BadHandOver{R"({"config":{},"pod_id":5})", "pod_id"}, BadHandOver{R"({"config":{},"parent":{"pod_id":"p"}})", "instance_id"},
                    BadHandOver{R"({"config":{},"parent":{"pod_id":"p","instance_id":"i","pod_name":"n","socket":"s","more":1}})", "more"},
                    BadHandOver{R"({"config":{},"ceilings":{"surprise":1}})", "surprise"}));

}  // namespace
}  // namespace insomnia::pod
