#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "testing/fake_llm_server.hh"

/// Replies in Anthropic's wire format, for FakeLlmServer and for tests of the decoder.
namespace insomnia::testing {

/// Builds the event stream of one message, block by block.
class AnthropicStream {
 public:
  AnthropicStream& text(std::string_view text);
  /// The same block in several deltas.
  AnthropicStream& text_pieces(std::initializer_list<std::string_view> pieces);
  AnthropicStream& thinking(std::string_view text, std::string_view signature);
  AnthropicStream& redacted_thinking(std::string_view data);
  /// `arguments` is JSON text, sent in two deltas.
  AnthropicStream& tool(std::string_view id, std::string_view name, std::string_view arguments);
  AnthropicStream& ping();
  /// Any event: `data` is JSON text.
  AnthropicStream& event(std::string_view name, std::string_view data);
  AnthropicStream& error(std::string_view type, std::string_view message);
  AnthropicStream& usage(uint64_t input, uint64_t output, uint64_t cache_read = 0, uint64_t cache_creation = 0);
  /// Default: tool_use when there is a tool call, else end_turn.
  AnthropicStream& stop_reason(std::string reason);

  /// The whole stream.
  std::string whole() const;
  /// The stream without its end (message_delta and message_stop).
  std::string without_end() const;

 private:
  AnthropicStream& block(std::string_view start, std::vector<std::string> const& deltas);

  std::string events_;
  size_t next_index_ = 0;
  uint64_t input_ = 10, output_ = 5, cache_read_ = 0, cache_creation_ = 0;
  bool has_tool_ = false;
  std::string stop_reason_;
};

/// An event stream as one piece, or in pieces of `piece_size` bytes.
Reply stream_reply(std::string_view stream, size_t piece_size = 0);

Reply text_reply(std::string_view text);

struct ScriptedCall {
  std::string id;
  std::string name;
  std::string arguments;
};
/// A message with parallel tool calls, after `text` if that is not empty.
Reply tool_reply(std::vector<ScriptedCall> const& calls, std::string_view text = "");

/// An error of the API; `retry_after` becomes the header.
Reply error_reply(int status, std::string_view type, std::string_view message, std::optional<std::string> retry_after = {});

}  // namespace insomnia::testing
