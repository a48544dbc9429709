#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.hh"

/// The conversation as it is logged, sent and replayed. Format: doc/protocol.md, "Items".
namespace insomnia::wire {

enum class Role { User, Assistant, System };

/// `text` of the model or the user; a refusal is text that the model marked as such.
struct ContentPart {
  std::string text;
  bool refusal = false;
  friend bool operator==(ContentPart const&, ContentPart const&) = default;
};

struct Message {
  Role role = Role::User;
  std::vector<ContentPart> content;
  friend bool operator==(Message const&, Message const&) = default;
};

/// `arguments` is JSON text as the model sent it; see normalize_arguments.
struct ToolCall {
  std::string call_id;
  std::string name;
  std::string arguments;
  friend bool operator==(ToolCall const&, ToolCall const&) = default;
};

/// What the model sees of a tool call: `summary`, then `content` on its own lines.
struct ToolResult {
  std::string call_id;
  std::string summary;
  std::optional<std::string> content;
  bool is_error = false;
  friend bool operator==(ToolResult const&, ToolResult const&) = default;
};

/// The model's thinking, kept to be sent back as the vendor demands. What the opaque fields hold is the matter of the wire format that wrote them
/// (llm/scheme/).
struct Reasoning {
  std::string text;
  std::vector<std::string> summary;
  std::optional<std::string> encrypted_content;
  std::optional<std::string> signature;
  std::string origin = {};  ///< wire format and provider that understand it; "": not said, as in older logs
  std::string id = {};      ///< the vendor's own, of this or of the tool call that it belongs to
  friend bool operator==(Reasoning const&, Reasoning const&) = default;
};

using Item = std::variant<Message, ToolCall, ToolResult, Reasoning>;

Item user_message(std::string text);
Item assistant_message(std::string text);
Item system_message(std::string text);
/// All text parts of a message, joined without separator.
std::string message_text(Message const& message);
/// "summary" or "summary\ncontent".
std::string result_text(ToolResult const& result);
/// A JSON object stays as it is; everything else (empty, null, list, scalar, bad JSON) becomes "{}".
std::string normalize_arguments(std::string_view arguments);

/// One item as compact JSON, tagged by `kind`.
std::string encode_item(Item const& item);
Result<Item> decode_item(std::string_view json);

}  // namespace insomnia::wire
