#include "wire/item.hh"

#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"
#include "wire/codec.hh"
#include "wire/json_text.hh"

namespace insomnia::wire {
namespace bj = boost::json;

namespace {

std::string_view role_name(Role role) {
  switch (role) {
    case Role::User: return "user";
    case Role::Assistant: return "assistant";
    case Role::System: return "system";
  }
  return "user";
}

struct ItemWriter {
  ObjectWriter& writer;
  void operator()(Message const& message) const {
    writer.string("kind", "message");
    writer.string("role", role_name(message.role));
    writer.list("content", message.content, [](std::string& out, ContentPart const& part) {
      ObjectWriter inner(out);
      inner.string("kind", part.refusal ? "refusal" : "text");
      inner.string(part.refusal ? "refusal" : "text", part.text);
    });
  }
  void operator()(ToolCall const& call) const {
    writer.string("kind", "tool_call");
    writer.string("call_id", call.call_id);
    writer.string("name", call.name);
    writer.string("arguments", call.arguments);
  }
  void operator()(ToolResult const& result) const {
    writer.string("kind", "tool_result");
    writer.string("call_id", result.call_id);
    writer.string("summary", result.summary);
    if (result.content) writer.string("content", *result.content);
    if (result.is_error) writer.boolean("is_error", true);
  }
  void operator()(Reasoning const& reasoning) const {
    writer.string("kind", "reasoning");
    writer.string("text", reasoning.text);
    if (!reasoning.summary.empty()) writer.list("summary", reasoning.summary, append_json_string);
    if (reasoning.encrypted_content) writer.string("encrypted_content", *reasoning.encrypted_content);
    if (reasoning.signature) writer.string("signature", *reasoning.signature);
    if (!reasoning.origin.empty()) writer.string("origin", reasoning.origin);
    if (!reasoning.id.empty()) writer.string("id", reasoning.id);
  }
};

Message read_message(json::Reader& reader) {
  Message message;
  std::string role = reader.string("role");
  if (role == "assistant") message.role = Role::Assistant;
  else if (role == "system") message.role = Role::System;
  else if (role != "user") reader.reject("role", "must be \"user\", \"assistant\" or \"system\"");
  auto const* content = reader.require_array("content");
  if (content == nullptr) return message;
  for (auto const& element : *content) {
    if (!element.is_object()) {
      reader.reject("content", "must be a list of objects");
      return message;
    }
    json::Reader part(element.as_object(), reader.path_of("content"));
    std::string kind = part.string("kind");
    if (kind == "text" || kind == "refusal") message.content.push_back({part.string(kind), kind == "refusal"});
    codec::absorb(reader, part.finish());
  }
  return message;
}

Item message_of(Role role, std::string text) { return Message{role, {ContentPart{std::move(text)}}}; }

}  // namespace

Item user_message(std::string text) { return message_of(Role::User, std::move(text)); }
Item assistant_message(std::string text) { return message_of(Role::Assistant, std::move(text)); }
Item system_message(std::string text) { return message_of(Role::System, std::move(text)); }

std::string message_text(Message const& message) {
  std::string result;
  for (auto const& part : message.content) result += part.text;
  return result;
}

std::string result_text(ToolResult const& result) {
  return result.content ? result.summary + "\n" + *result.content : result.summary;
}

std::string normalize_arguments(std::string_view arguments) {
  bool is_object = text::trim(arguments).starts_with('{') && check_json(arguments);
  return is_object ? std::string(arguments) : "{}";
}

std::string encode_item(Item const& item) {
  std::string out;
  codec::write_item(out, item);
  return out;
}

Result<Item> decode_item(std::string_view json) {
  bj::object object = TRY(json::parse_object(json));
  std::optional<Item> item = TRY(codec::read_item(object, "item"));
  if (!item) return fail(Code::Unsupported, "item.kind: this version does not know the kind");
  return *std::move(item);
}

namespace codec {

void write_item(std::string& out, Item const& item) {
  ObjectWriter writer(out);
  std::visit(ItemWriter{writer}, item);
}

Result<std::optional<Item>> read_item(bj::object const& object, std::string where) {
  json::Reader reader(object, std::move(where));
  std::string kind = reader.string("kind");
  std::optional<Item> item;
  if (kind == "message") {
    item = read_message(reader);
  } else if (kind == "tool_call") {
    item = ToolCall{reader.string("call_id"), reader.string("name"), reader.string("arguments")};
  } else if (kind == "tool_result") {
    item = ToolResult{reader.string("call_id"), reader.string("summary"), reader.optional_string("content"),
                      reader.boolean_or("is_error", false)};
  } else if (kind == "reasoning") {
    item = Reasoning{reader.string_or("text", ""), reader.strings("summary"), reader.optional_string("encrypted_content"),
                     reader.optional_string("signature"), reader.string_or("origin", ""), reader.string_or("id", "")};
  }
  TRY(reader.finish());
  return item;
}

}  // namespace codec
}  // namespace insomnia::wire
