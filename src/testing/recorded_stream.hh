#pragma once

#include <string>
#include <vector>

/// The recorded conversations of real services (tests/fixtures/provider-streams), for tests.
namespace insomnia::testing {

struct RecordedCall {
  std::string url;
  std::string request;  ///< JSON text
  std::string body;     ///< of the response: an event stream
};
struct RecordedConversation {
  std::string scheme;
  std::vector<RecordedCall> calls;
};

/// "openai_chat/OpenAICommon__….json" and so on, sorted by scheme and name.
std::vector<std::string> recorded_conversations();
/// Panics when there is none of that name.
RecordedConversation recorded_conversation(std::string const& name);
/// A recording's name as that of a test.
std::string recorded_test_name(std::string const& name);

}  // namespace insomnia::testing
