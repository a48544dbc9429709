#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "testing/anthropic_stream.hh"
#include "testing/fake_llm_server.hh"

/// What a Pod sent to the model, as a test looks at it, and answers that belong to one conversation among many.
namespace insomnia::testing {

struct SentResult {
  std::string id;
  std::string text;
  bool is_error = false;
};

/// A request in Anthropic's wire format.
struct Conversation {
  std::string system;
  std::vector<std::string> tools;
  std::string task;                        ///< text of the first user message: tells the Pods of a test apart
  std::vector<std::string> said;           ///< texts of user messages, notices included, in order
  std::vector<std::string> answers;        ///< texts of the model, in order
  std::vector<std::string> calls;          ///< ids of the model's tool calls, in order
  std::vector<SentResult> results;         ///< of all tool calls, in order
  std::vector<SentResult> latest_results;  ///< those in the last message
  /// The texts of the last message.
  std::string latest;

  /// The result of that call, all text of its results if it has several; "<none>" without any.
  std::string result(std::string_view id) const;
  size_t count_results(std::string_view id) const;
  /// Whether a user message or notice has this text.
  bool was_told(std::string_view fragment) const;
};

/// Panics when the body is not such a request.
Conversation read_conversation(RecordedRequest const& request);

/// Answers every request of the conversation whose first user message contains `task`; called on the server's thread.
void answer_with(FakeLlmServer& server, std::string task, std::function<Reply(Conversation const&)> handler);
/// Answers the conversation whose first user message contains `task` with these replies, one per request; afterwards with status 400.
void answer_task(FakeLlmServer& server, std::string task, std::vector<Reply> replies);

/// The requests of that conversation so far.
std::vector<Conversation> conversations(FakeLlmServer const& server, std::string_view task);
/// The last of them. Panics when there is none.
Conversation last_conversation(FakeLlmServer const& server, std::string_view task);

/// A JSON object with string members.
std::string arguments(std::initializer_list<std::pair<std::string_view, std::string_view>> members);
/// Arguments of SpawnPod; rules are "write:/path", "read:/path".
std::string spawn_arguments(std::string_view name, std::string_view task, std::initializer_list<std::string_view> rules);

}  // namespace insomnia::testing
