#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

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

// Case 31.
TEST(Paths, ConfigDirectoryPrefersTheMoreSpecificVariable) {
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}})).config_dir, "/h/.config/insomnia");
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}, {"XDG_CONFIG_HOME", "/x"}})).config_dir, "/x/insomnia");
  EXPECT_EQ(Paths::resolve(env({{"XDG_CONFIG_HOME", "/x"}, {"INSOMNIA_HOME", "/i"}})).config_dir, "/i/config");
  EXPECT_EQ(Paths::resolve(env({{"INSOMNIA_HOME", "/i"}, {"INSOMNIA_CONFIG_DIR", "/c"}})).config_dir, "/c");
}

// Case 32.
TEST(Paths, DataDirectoryIsInsomniaHomeItself) {
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}})).data_dir, "/h/.insomnia");
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}, {"INSOMNIA_HOME", "/i"}})).data_dir, "/i");
}

// Case 33.
TEST(Paths, RuntimeDirectoryPrefersXdgAndInsomniaHomeBeatsIt) {
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}, {"XDG_RUNTIME_DIR", "/x"}})).runtime_dir, "/x/insomnia");
  EXPECT_EQ(Paths::resolve(env({{"XDG_RUNTIME_DIR", "/x"}, {"INSOMNIA_HOME", "/i"}})).runtime_dir, "/i/run");
  EXPECT_EQ(Paths::resolve(env({{"INSOMNIA_HOME", "/i"}, {"INSOMNIA_RUNTIME_DIR", "/r"}})).runtime_dir, "/r");
}

// Case 33: it must not depend on whether a login set XDG_RUNTIME_DIR.
TEST(Paths, WithoutVariablesTheRuntimeDirectoryIsTheUsersOwnElseBelowTheData) {
  std::string user_run = "/run/user/" + std::to_string(::geteuid());
  struct stat info{};
  bool ours = ::stat(user_run.c_str(), &info) == 0 && info.st_uid == ::geteuid();
  EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}})).runtime_dir, ours ? user_run + "/insomnia" : "/h/.insomnia/run");
}

// Case 34.
TEST(Paths, EmptyVariablesCountAsUnset) {
  Paths plain = Paths::resolve(env({{"HOME", "/h"}}));
  EXPECT_EQ(plain.data_dir, "/h/.insomnia");
  for (auto* name : {"INSOMNIA_HOME", "INSOMNIA_CONFIG_DIR", "INSOMNIA_DATA_DIR", "INSOMNIA_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"}) {
    EXPECT_EQ(Paths::resolve(env({{"HOME", "/h"}, {name, ""}})), plain) << name;
  }
  EXPECT_EQ(Paths::resolve(env({{"HOME", ""}})), Paths::resolve(env({})));
}

// Case 36, 70.
TEST(Paths, FilesHaveFixedPlacesBelowThem) {
  Paths paths{.config_dir = "/c", .data_dir = "/d", .runtime_dir = "/r"};
  EXPECT_EQ(paths.sessions_dir(), "/d/sessions");
  EXPECT_EQ(paths.pods_dir(), "/d/pods");
  EXPECT_EQ(paths.pod_dir("kid"), "/d/pods/kid");
  EXPECT_EQ(paths.registry_db(), "/r/registry.db");
  EXPECT_EQ(paths.pod_runtime_dir("kid"), "/r/kid");
  EXPECT_EQ(paths.pod_socket("kid"), "/r/kid/sock");
  EXPECT_EQ(paths.pod_lock("kid"), "/r/kid/lock");
}

// Case 35.
TEST(Paths, NothingSetGivesNothingAndTheErrorNamesTheWayOut) {
  Paths paths = Paths::resolve(env({}));
  EXPECT_EQ(paths.config_dir, "");
  EXPECT_EQ(paths.data_dir, "");
  auto error = paths.require_data_dir();
  ASSERT_FALSE(error);
  EXPECT_NE(error.error().message.find("INSOMNIA_HOME"), std::string::npos);
}

// P4: of each of the three.
TEST(Paths, TheVariableOfOneDirectoryBeatsInsomniaHome) {
  Paths paths = Paths::resolve(env({{"INSOMNIA_HOME", "/i"}, {"INSOMNIA_CONFIG_DIR", "/c"}, {"INSOMNIA_DATA_DIR", "/d"}, {"INSOMNIA_RUNTIME_DIR", "/r"}}));
  EXPECT_EQ(paths, (Paths{.config_dir = "/c", .data_dir = "/d", .runtime_dir = "/r"}));
}

// P11.
TEST(Paths, AnEmptyEnvironmentGivesNoDirectoryButTheUsersOwnForSockets) {
  std::string user_run = "/run/user/" + std::to_string(::geteuid());
  struct stat info{};
  bool ours = ::stat(user_run.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == ::geteuid();
  Paths paths = Paths::resolve(env({}));
  EXPECT_EQ(paths, (Paths{.config_dir = "", .data_dir = "", .runtime_dir = ours ? user_run + "/insomnia" : ""}));
  if (!ours) {
    EXPECT_NE(paths.require_runtime_dir().error().message.find("INSOMNIA_RUNTIME_DIR"), std::string::npos);
  }
}

// R8.
TEST(PodName, AcceptsAndRefuses) {
  for (auto* good : {"a", "coder-1", "A.b_c", "0"}) EXPECT_TRUE(check_pod_name(good)) << good;
  for (std::string bad : {std::string(""), std::string("."), std::string(".."), std::string("../x"), std::string("a/b"),
                          std::string("a\0b", 3), std::string(300, 'x'), std::string("-x"), std::string("ä"),
                          std::string("registry.db-wal")}) {
    EXPECT_FALSE(check_pod_name(bad)) << bad;
  }
}

// Case 153.
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

TEST(Uuid, IsOrderedWhenTheClockIsSetBack) {
  FakeClock clock;
  clock.set_wall(4'000'000'000'000);
  std::string last = uuid7(clock);
  for (int64_t wall : {3'999'999'999'999, 1'700'000'000'000, int64_t{0}, int64_t{0}, 2'000'000'000'000}) {
    clock.set_wall(wall);
    std::string next = uuid7(clock);
    EXPECT_LT(last, next) << wall;
    last = next;
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
