#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "wire/item.hh"

/// What every scheme's stream is turned into. Blocks have an index and may interleave.
namespace insomnia::llm {

enum class BlockType { Text, Thinking, ToolUse };
/// Why the model stopped. Other: a reason that this version does not know (its text is in the log).
enum class StopReason { EndTurn, ToolUse, MaxTokens, StopSequence, Refusal, PauseTurn, ContentFilter, Other };

struct Started {
  std::string request_id;
  std::string model;
  friend bool operator==(Started const&, Started const&) = default;
};
struct BlockStart {
  size_t index = 0;
  BlockType type = BlockType::Text;
  std::string id;    ///< tool call id, for ToolUse
  std::string name;  ///< tool name, for ToolUse
  friend bool operator==(BlockStart const&, BlockStart const&) = default;
};
/// Text, thinking text, or a piece of the JSON arguments, after the block's type.
struct BlockDelta {
  size_t index = 0;
  std::string text;
  friend bool operator==(BlockDelta const&, BlockDelta const&) = default;
};
struct BlockStop {
  size_t index = 0;
  friend bool operator==(BlockStop const&, BlockStop const&) = default;
};
/// A finished piece of reasoning, with what must be sent back. `block`: index of the thinking block whose place it takes; absent: it stands where it came.
struct ReasoningDone {
  wire::Reasoning item;
  std::optional<size_t> block = std::nullopt;
  friend bool operator==(ReasoningDone const&, ReasoningDone const&) = default;
};
/// Fields that are present replace earlier ones of the same call. input_tokens = the whole prompt, cached parts included.
struct Usage {
  std::optional<uint64_t> input_tokens;
  std::optional<uint64_t> output_tokens;
  std::optional<uint64_t> cache_read_input_tokens;
  std::optional<uint64_t> cache_creation_input_tokens;
  friend bool operator==(Usage const&, Usage const&) = default;
};
struct Stopped {
  StopReason reason = StopReason::EndTurn;
  friend bool operator==(Stopped const&, Stopped const&) = default;
};
struct Ping {
  friend bool operator==(Ping const&, Ping const&) = default;
};
/// An event, block or delta of a kind that this version does not know: skipped and counted.
struct Unhandled {
  std::string event_type;
  friend bool operator==(Unhandled const&, Unhandled const&) = default;
};
/// The stream's own terminal event. A stream that ends without it was interrupted.
struct Completed {
  friend bool operator==(Completed const&, Completed const&) = default;
};

using StreamEvent = std::variant<Started, BlockStart, BlockDelta, BlockStop, ReasoningDone, Usage, Stopped, Ping, Unhandled, Completed>;

}  // namespace insomnia::llm
