#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/clock.hh"
#include "base/environment.hh"
#include "base/json.hh"
#include "base/paths.hh"
#include "base/sha256.hh"
#include "base/text.hh"
#include "base/uuid.hh"

namespace insomnia {
namespace {

Environment env(std::map<std::string, std::string, std::less<>> values) { return Environment(std::move(values)); }

TEST(Paths, ConfigDirectoryPrefersTheMoreSpecificVariable) {
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}})).config_dir, "/h/.config/insomnia");
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}, {"XDG_CONFIG_HOME", "/x"}})).config_dir, "/x/insomnia");
  EXPECT_EQ(Paths::resolve(env({{"XDG_CONFIG_HOME", "/x"}, {"INSOMNIA_HOME", "/i"}})).config_dir, "/i/config");
  EXPECT_EQ(Paths::resolve(env({{"INSOMNIA_HOME", "/i"}, {"INSOMNIA_CONFIG_DIR", "/c"}})).config_dir, "/c");
}

TEST(Paths, DataDirectoryIsInsomniaHomeItself) {
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}})).data_dir, "/h/.insomnia");
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}, {"INSOMNIA_HOME", "/i"}})).data_dir, "/i");
}

TEST(Paths, RuntimeDirectoryPrefersXdgAndInsomniaHomeBeatsIt) {
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}, {"XDG_RUNTIME_DIR", "/x"}})).runtime_dir, "/x/insomnia");
  EXPECT_EQ(Paths::resolve(env({{"XDG_RUNTIME_DIR", "/x"}, {"INSOMNIA_HOME", "/i"}})).runtime_dir, "/i/run");
}

TEST(Paths, EmptyVariablesCountAsUnset) {
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}, {"INSOMNIA_HOME", ""}})).data_dir, "/h/.insomnia");
}

TEST(Paths, NothingSetGivesNothingAndTheErrorNamesTheWayOut) {
  Paths paths = Paths::resolve(env({}));
  EXPECT_EQ(paths.config_dir, "");
  EXPECT_EQ(paths.data_dir, "");
  auto error = paths.require_data_dir();
  ASSERT_FALSE(error);
  EXPECT_NE(error.error().message.find("INSOMNIA_HOME"), std::string::npos);
}

TEST(PodName, AcceptsAndRefuses) {
  for (auto* good : {"a", "coder-1", "A.b_c", "0"}) EXPECT_TRUE(check_pod_name(good)) << good;
  for (std::string bad : {std::string(""), std::string("."), std::string(".."), std::string("../x"), std::string("a/b"),
                          std::string("a\0b", 3), std::string(300, 'x'), std::string("-x"), std::string("ä"),
                          std::string("registry.db-wal")}) {
    EXPECT_FALSE(check_pod_name(bad)) << bad;
  }
}

TEST(PodName, SanitizeMakesAValidName) {
  EXPECT_EQ(sanitize_pod_name("my project", "x"), "my-project");
  EXPECT_EQ(sanitize_pod_name("...", "workspace"), "workspace");
}

TEST(Text, Utf8IsCheckedAndRepaired) {
  EXPECT_TRUE(text::is_utf8("grün €😀"));
  for (std::string_view bad : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe2\x82"}) EXPECT_FALSE(text::is_utf8(bad));
  EXPECT_EQ(text::to_utf8("a\xff""b"), "a\xEF\xBF\xBD""b");
}

TEST(Text, CutsFallBetweenCharacters) {
  EXPECT_EQ(text::prefix("aä", 2), "a");
  EXPECT_EQ(text::suffix("äb", 2), "b");
  EXPECT_EQ(text::one_line("one\ntwo three", 8), "one two…");
}

TEST(Text, TerminalTextCarriesNoEscapeSequences) {
  EXPECT_EQ(text::for_terminal("\x1b[31mred\r\n"), "^[[31mred\n");
  EXPECT_EQ(text::for_terminal("\xC2\x9B""31m"), "\xEF\xBF\xBD""31m");
}

TEST(Uuid, IsVersion7AndOrderedWhenTheClockStandsStill) {
  FakeClock clock;
  std::string first = uuid7(clock);
  EXPECT_TRUE(is_uuid(first));
  EXPECT_EQ(first[14], '7');
  for (int i = 0; i < 5000; ++i) {
    std::string next = uuid7(clock);
    ASSERT_LT(first, next);
    first = next;
  }
}

TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(JsonReader, KeepsTheFirstErrorWithItsPath) {
  auto object = *json::parse_object(R"({"name":7,"other":true})");
  json::Reader reader(object, "pod");
  EXPECT_EQ(reader.string("name"), "");
  EXPECT_EQ(reader.uint("missing"), 0u);
  auto finished = reader.finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().message, "pod.name: must be a string");
}

TEST(JsonReader, StrictNamesTheUnknownKey) {
  auto object = *json::parse_object(R"({"name":"x","typo":true})");
  json::Reader reader(object, "pod");
  reader.string("name");
  EXPECT_EQ(reader.finish_strict().error().message, "pod.typo: unknown key");
}

TEST(Json, ParseErrorsSayWhere) {
  EXPECT_FALSE(json::parse("{\"a\":"));
  EXPECT_FALSE(json::parse("{} x"));
  EXPECT_FALSE(json::parse("\"\xff\""));
  EXPECT_TRUE(json::parse(" {} \n"));
  EXPECT_FALSE(json::parse(std::string(200, '[') + std::string(200, ']')));
}

}  // namespace
}  // namespace insomnia
