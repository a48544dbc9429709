#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/json.hh"
#include "testing/conversation.hh"
#include "testing/pod_client.hh"
#include "testing/pod_home.hh"

namespace insomnia::e2e {

using testing::answer_task;
using testing::answer_with;
using testing::AnthropicStream;
using testing::arguments;
using testing::Conversation;
using testing::conversations;
using testing::error_reply;
using testing::FakeLlmServer;
using testing::Finished;
using testing::kPatienceMs;
using testing::last_conversation;
using testing::Piece;
using testing::PodClient;
using testing::PodHome;
using testing::Program;
using testing::read_conversation;
using testing::Reply;
using testing::spawn_arguments;
using testing::stream_reply;
using testing::text_reply;
using testing::tool_reply;

/// The product binary with a home of its own and a model played by a fake server.
class E2e : public ::testing::Test {
 protected:
  E2e() {
    home.environment.set("ANTHROPIC_BASE_URL", server.url());
    home.environment.set("ANTHROPIC_API_KEY", "fake-key");
  }

  ~E2e() override {
    if (HasFailure()) GTEST_LOG_(INFO) << "What the Pods recorded:\n" << home.records();
  }

  FakeLlmServer server;
  PodHome home{INSOMNIA_BINARY};
};

inline bool contains(std::string_view text, std::string_view fragment) { return text.find(fragment) != std::string_view::npos; }

/// For EXPECT_TRUE: shows the text when the fragment is not in it.
inline ::testing::AssertionResult has(std::string const& text, std::string_view fragment) {
  if (contains(text, fragment)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "no \"" << fragment << "\" in:\n" << text;
}

/// For EXPECT_TRUE: shows what the program said when it ended otherwise.
inline ::testing::AssertionResult ended_with(int code, Finished const& finished) {
  if (finished.code == code) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "exit code " << (finished.code ? std::to_string(*finished.code) : "<still running>")
                                       << " instead of " << code << "\nstdout:\n" << finished.out << "\nstderr:\n" << finished.err;
}

inline ::testing::AssertionResult ended_with(int code, Program& program) {
  auto ended = program.wait();
  return ended_with(code, Finished{ended, program.out(), program.err()});
}

/// More of everything when INSOMNIA_SOAK is set.
inline int soak(int normal, int long_run) { return std::getenv("INSOMNIA_SOAK") != nullptr ? long_run : normal; }

}  // namespace insomnia::e2e
