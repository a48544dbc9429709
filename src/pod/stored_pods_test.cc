#include "pod/stored_pods.hh"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pod/fixture_test.hh"
#include "pod/store.hh"
#include "session/location.hh"
#include "wire/log_entry.hh"

namespace insomnia::pod {
namespace {

constexpr char kSession[] = "0192f0c0-0000-7000-8000-000000000001";
constexpr char kSegment[] = "0192f0c0-0000-7000-8000-000000000002";

class StoredPods : public PodTest {
 protected:
  PodState state(std::string const& name) {
    PodState result;
    result.pod_name = name;
    result.pod_id = name + "-id";
    result.session_id = kSession;
    result.segment_id = name + "-segment";
    result.workspace_root = work;
    result.task = "task of " + name;
    result.config.pod_name = name;
    result.config.model.ref = "rehearsal/none";
    result.config.scope.allow = {write_rule(work)};
    return result;
  }
  std::string segment_file(PodState const& stored) {
    return session::segment_path(paths.sessions_dir(), {stored.session_id, stored.segment_id});
  }
  void write_segment(PodState const& stored, std::string const& content) {
    ASSERT_TRUE(io::make_directories(paths.sessions_dir() + "/" + stored.session_id));
    ASSERT_TRUE(io::replace_file(segment_file(stored), content));
  }
  static std::string start_record() {
    return wire::encode_log_entry(
               {1, wire::SegmentStart{.session_id = kSession, .system_prompt = "Be good."}}) +
           "\n";
  }
  PodState store(PodState const& stored) {
    EXPECT_TRUE(write_pod_state(paths, stored));
    write_segment(stored, start_record());
    return stored;
  }
  std::vector<StoredPod> all() {
    auto pods = stored_pods(paths, environment);
    EXPECT_TRUE(pods) << pods.error().message;
    return pods ? *std::move(pods) : std::vector<StoredPod>{};
  }
  /// The only one.
  StoredPod one() {
    auto pods = all();
    EXPECT_EQ(pods.size(), 1u);
    return pods.size() == 1 ? pods[0] : StoredPod{};
  }

  Environment environment;
};

TEST_F(StoredPods, NothingStoredIsNoError) {
  EXPECT_TRUE(all().empty());
  EXPECT_FALSE(io::exists(paths.data_dir)) << "looking makes nothing";
}

TEST_F(StoredPods, TellsAllOfARestorablePod) {
  PodState kid = state("kid");
  kid.parent = ParentLink{"boss-id", "boss-1", "boss", "/run/boss/sock"};
  kid.config.scope.deny = {write_rule(work + "/.git")};
  store(kid);
  timespec times[2] = {{1'700'000'000, 0}, {1'700'000'001, 500'000'000}};
  ASSERT_EQ(::utimensat(AT_FDCWD, segment_file(kid).c_str(), times, 0), 0);
  StoredPod expected{.pod_name = "kid",
                     .pod_id = "kid-id",
                     .parent_pod_id = "boss-id",
                     .parent_pod_name = "boss",
                     .state = StoredState::Restorable,
                     .task = "task of kid",
                     .workspace_root = work,
                     .scope = kid.config.scope,
                     .session_id = kSession,
                     .segment_id = "kid-segment",
                     .last_active_ms = 1'700'000'001'500};
  EXPECT_EQ(one(), expected);
}

TEST_F(StoredPods, AKeyThatIsNotFoundIsNamed) {
  PodState pod = state("kid");
  pod.config.model.ref = "anthropic/claude-sonnet-4-6";
  store(pod);
  EXPECT_EQ(one().state, StoredState::NeedsKey);
  EXPECT_HAS(one().reason, "ANTHROPIC_API_KEY");
  EXPECT_EQ(one().task, "task of kid");
  environment.set("ANTHROPIC_API_KEY", "sk-secret");
  EXPECT_EQ(one().state, StoredState::Restorable);
  EXPECT_EQ(one().reason, "");
}

TEST_F(StoredPods, AModelThatIsNotInTheTableIsNoReasonForAWarning) {
  PodState pod = state("kid");
  pod.config.model.ref = "anthropic/some-other-model";
  store(pod);
  environment.set("ANTHROPIC_API_KEY", "sk-secret");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(one().state, StoredState::Restorable);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(StoredPods, AKeyFileCountsAndItsContentIsNeverTold) {
  PodState pod = state("kid");
  std::string key = directory / "key";
  pod.config.model = {.scheme = "anthropic",
                      .model_id = "m",
                      .auth = manifest::Auth{.kind = manifest::Auth::Kind::ApiKey, .file = key}};
  store(pod);
  EXPECT_EQ(one().state, StoredState::NeedsKey);
  EXPECT_HAS(one().reason, key);
  ASSERT_TRUE(io::replace_file(key, "sk-one\nsk-two\n"));
  EXPECT_EQ(one().state, StoredState::NeedsKey);
  EXPECT_FALSE(contains(one().reason, "sk-"));
  ASSERT_TRUE(io::replace_file(key, "sk-one\n"));
  EXPECT_EQ(one().state, StoredState::Restorable);
}

TEST_F(StoredPods, AModelThatCantBeResolvedIsTheConfigurationsFaultNotThePods) {
  PodState unknown = state("unknown");
  unknown.config.model.ref = "no-such-provider/m";
  store(unknown);
  EXPECT_EQ(one().state, StoredState::NeedsKey);
  EXPECT_HAS(one().reason, "no-such-provider");
  ASSERT_TRUE(io::make_directories(paths.config_dir));
  ASSERT_TRUE(io::replace_file(paths.config_dir + "/providers.toml", "[[provider"));
  EXPECT_EQ(one().state, StoredState::NeedsKey);
  EXPECT_HAS(one().reason, "providers.toml");
}

TEST_F(StoredPods, DamagedMetadataLeavesTheOthersAlone) {
  store(state("sound"));
  for (std::string const& text :
       {std::string(), std::string("{"), std::string("[]"), std::string(1'000, '\0'), std::string("{}")}) {
    ASSERT_TRUE(io::make_directories(paths.pod_dir("broken")));
    ASSERT_TRUE(io::replace_file(paths.pod_dir("broken") + "/metadata.json", text));
    auto pods = all();
    ASSERT_EQ(pods.size(), 2u) << text;
    EXPECT_EQ(pods[0].pod_name, "broken");
    EXPECT_EQ(pods[0].state, StoredState::Gone);
    EXPECT_HAS(pods[0].reason, "metadata.json");
    EXPECT_EQ(pods[1].state, StoredState::Restorable);
  }
}

TEST_F(StoredPods, WhatIsNoFileWhereTheMetadataShouldBeIsGone) {
  std::string path = paths.pod_dir("odd") + "/metadata.json";
  ASSERT_TRUE(io::make_directories(path));
  EXPECT_EQ(one().state, StoredState::Gone);
  ASSERT_EQ(::rmdir(path.c_str()), 0);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);  // opening it must not wait for a writer
  EXPECT_EQ(one().state, StoredState::Gone);
  EXPECT_FALSE(one().reason.empty());
}

TEST_F(StoredPods, MissingMetadataIsGoneUnlessNothingWasEverThere) {
  ASSERT_TRUE(io::make_directories(paths.pod_dir("empty")));
  ASSERT_TRUE(io::make_directories(paths.pod_dir("refused")));
  ASSERT_TRUE(io::replace_file(paths.pod_dir("refused") + "/lock", "x 1 1\n"));
  ASSERT_TRUE(io::make_directories(paths.pods_dir() + "/not a name"));
  ASSERT_TRUE(io::replace_file(paths.pods_dir() + "/a-file", ""));
  EXPECT_TRUE(all().empty());
  ASSERT_TRUE(io::make_directories(paths.pod_dir("lost") + "/inbox"));
  EXPECT_EQ(one().pod_name, "lost");
  EXPECT_EQ(one().state, StoredState::Gone);
  EXPECT_HAS(one().reason, "metadata.json is missing");
}

TEST_F(StoredPods, AMissingSessionIsGone) {
  PodState pod = store(state("kid"));
  ASSERT_EQ(::unlink(segment_file(pod).c_str()), 0);
  EXPECT_EQ(one().state, StoredState::Gone);
  EXPECT_HAS(one().reason, segment_file(pod));
  EXPECT_EQ(one().pod_id, "kid-id") << "what is known is told";
  pod.segment_id.clear();
  ASSERT_TRUE(write_pod_state(paths, pod));
  EXPECT_EQ(one().state, StoredState::Gone);
  EXPECT_HAS(one().reason, "nothing was ever logged");
  pod.segment_id = "../../etc/passwd";
  ASSERT_TRUE(write_pod_state(paths, pod));
  EXPECT_EQ(one().state, StoredState::Gone);
}

TEST_F(StoredPods, TheBeginningOfTheSegmentDecides) {
  struct Case {
    std::string about;
    std::string content;
    StoredState state;
    std::string reason;
  };
  std::string invoke = wire::encode_log_entry({2, wire::Invoke{.trigger = "user_send"}}) + "\n";
  std::string long_start =
      wire::encode_log_entry(
          {1, wire::SegmentStart{.session_id = kSession,
                                 .history = {wire::user_message(std::string(300'000, 'x'))}}}) +
      "\n";
  PodState pod = store(state("kid"));
  for (auto const& [about, content, expected, reason] : std::vector<Case>{
           {"a sound one", start_record() + invoke, StoredState::Restorable, ""},
           {"blank lines mean nothing", "\n \n" + start_record(), StoredState::Restorable, ""},
           {"an empty log is no error", "", StoredState::Restorable, ""},
           {"a first record that was never completed", start_record().substr(0, 20), StoredState::Restorable,
            ""},
           {"the padding of a lost power supply", std::string(500, '\0'), StoredState::Restorable, ""},
           {"a torn end is cut", start_record() + "{\"ki", StoredState::Restorable, ""},
           {"damage further on is not looked for", start_record() + "junk\n", StoredState::Restorable, ""},
           {"a long history", long_start, StoredState::Restorable, ""},
           {"a long history and nothing else yet, torn", long_start.substr(0, 200'000),
            StoredState::Restorable, ""},
           {"no record", "junk\n" + start_record(), StoredState::Gone, "can't be read"},
           {"another record", invoke + start_record(), StoredState::Gone, "no segment_start"},
           {"NUL bytes and then records", std::string(10, '\0') + "\n" + start_record(), StoredState::Gone,
            "NUL"},
           {"long and something else", std::string(300'000, 'x'), StoredState::Gone, "no segment_start"},
           {"long and text that only speaks of it",
            wire::encode_log_entry({1, wire::UserInput{wire::text_segments(R"({"kind":"segment_start")" +
                                                                           std::string(300'000, 'x')),
                                                       {}}}) +
                "\n",
            StoredState::Gone, "no segment_start"},
           {"a lot of NUL bytes", std::string(300'000, '\0'), StoredState::Gone, "NUL"}}) {
    write_segment(pod, content);
    StoredPod found = one();
    EXPECT_EQ(found.state, expected) << about << ": " << found.reason;
    EXPECT_HAS(found.reason, reason) << about;
    EXPECT_GT(found.last_active_ms, 0) << about;
  }
}

TEST_F(StoredPods, ASegmentThatIsNoFileIsGone) {
  PodState pod = store(state("kid"));
  ASSERT_EQ(::unlink(segment_file(pod).c_str()), 0);
  ASSERT_EQ(::mkfifo(segment_file(pod).c_str(), 0600), 0);
  EXPECT_EQ(one().state, StoredState::Gone);
  EXPECT_HAS(one().reason, "not a regular file");
}

TEST_F(StoredPods, AThousandAreTold) {
  for (int i = 0; i < 1'000; ++i) {
    PodState pod = state("pod-" + std::to_string(1'000 + i));
    ASSERT_TRUE(io::make_directories(paths.pod_dir(pod.pod_name)));
    ASSERT_TRUE(io::replace_file(paths.pod_dir(pod.pod_name) + "/metadata.json", encode_pod_state(pod)));
    write_segment(pod, start_record());
    // A big log costs no more than a small one.
    if (i % 10 == 0) {
      ASSERT_EQ(::truncate(segment_file(pod).c_str(), 100 << 20), 0);
    }
  }
  auto pods = all();
  ASSERT_EQ(pods.size(), 1'000u);
  EXPECT_EQ(pods.front().pod_name, "pod-1000");
  EXPECT_EQ(pods.back().pod_name, "pod-1999");
  for (auto const& pod : pods) EXPECT_EQ(pod.state, StoredState::Restorable) << pod.reason;
}

TEST(StoredStates, HaveNames) {
  EXPECT_EQ(stored_state_name(StoredState::Restorable), "restorable");
  EXPECT_EQ(stored_state_name(StoredState::NeedsKey), "needs key");
  EXPECT_EQ(stored_state_name(StoredState::Gone), "gone");
}

}  // namespace
}  // namespace insomnia::pod
