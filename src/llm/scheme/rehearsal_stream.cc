#include "llm/scheme/rehearsal_stream.hh"

#include <array>
#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"

namespace insomnia::llm {
namespace bj = boost::json;

namespace {

std::string quoted(std::string_view text) {
  return json::dump(bj::value(text::to_utf8(text)));
}

/// The value that goes with a name; an unknown name is recorded as an error.
template <class T, size_t N>
T named(json::Reader& reader, std::string_view key,
        std::array<std::pair<std::string_view, T>, N> const& names) {
  std::string name = reader.string(key);
  for (auto const& [known, value] : names) {
    if (name == known) return value;
  }
  if (reader.ok()) reader.reject(key, "has an unknown value `" + name + "`");
  return T{};
}

constexpr std::array<std::pair<std::string_view, BlockType>, 3> kBlockTypes = {
    {{"text", BlockType::Text}, {"thinking", BlockType::Thinking}, {"tool_use", BlockType::ToolUse}}};

constexpr std::array<std::pair<std::string_view, StopReason>, 7> kStopReasons = {
    {{"end_turn", StopReason::EndTurn},
     {"tool_use", StopReason::ToolUse},
     {"max_tokens", StopReason::MaxTokens},
     {"stop_sequence", StopReason::StopSequence},
     {"refusal", StopReason::Refusal},
     {"pause_turn", StopReason::PauseTurn},
     {"content_filter", StopReason::ContentFilter}}};

RehearsalMessage decode_failure(json::Reader& reader) {
  CallFailure failure;
  failure.error = {.code = Code::Unavailable, .message = reader.string("message")};
  if (auto status = reader.optional_integer("status")) failure.status = static_cast<int>(*status);
  failure.api_code = reader.string_or("api_code", "");
  failure.retry_after_ms = reader.optional_integer("retry_after_ms");
  failure.retryable = reader.boolean_or("retryable", false);
  if (!failure.retryable) failure.error.code = Code::InvalidArgument;
  return failure;
}

RehearsalMessage decode_body(std::string_view kind, json::Reader& reader) {
  if (kind == "started")
    return Started{.request_id = reader.string("request_id"), .model = reader.string("model")};
  if (kind == "block_start") {
    return BlockStart{.index = reader.uint("index"),
                      .type = named(reader, "type", kBlockTypes),
                      .id = reader.string_or("id", ""),
                      .name = reader.string_or("name", "")};
  }
  if (kind == "delta") return BlockDelta{.index = reader.uint("index"), .text = reader.string("text")};
  if (kind == "block_stop") return BlockStop{.index = reader.uint("index")};
  if (kind == "reasoning") return ReasoningDone{.item = {.text = reader.string("text")}};
  if (kind == "usage") {
    return Usage{.input_tokens = reader.optional_uint("input_tokens"),
                 .output_tokens = reader.optional_uint("output_tokens")};
  }
  if (kind == "stopped") return Stopped{.reason = named(reader, "reason", kStopReasons)};
  if (kind == "completed") return Completed{};
  if (kind == "end") return RehearsalEnd{};
  if (kind == "error") return decode_failure(reader);
  return Unhandled{.event_type = std::string(kind)};
}

}  // namespace

std::string encode_rehearsal_request(Request const& request, RehearsalCallInfo const& info) {
  std::string line = R"({"request":{"id":)" + quoted(info.id) + R"(,"system":)" +
                     quoted(request.system_prompt) + R"(,"items":[)";
  std::string_view comma;
  for (wire::Item const& item : request.items) {
    line += comma;
    line += wire::encode_item(item);
    comma = ",";
  }
  line += R"(],"tools":[)";
  comma = "";
  for (ToolDefinition const& tool : request.tools) {
    line += comma;
    line += quoted(tool.name);
    comma = ",";
  }
  line += R"(],"model":)" + quoted(info.model) + R"(,"call_index":)" + std::to_string(info.call_index) +
          R"(,"attempt":)" + std::to_string(info.attempt) + "}}";
  return line;
}

Result<RehearsalMessage> decode_rehearsal_line(std::string_view line) {
  bj::object object = TRY(json::parse_object(line));
  if (object.size() != 1 || !object.begin()->value().is_object()) {
    return fail(Code::InvalidArgument, "a line must be an object with one member that is an object");
  }
  std::string kind(object.begin()->key());
  json::Reader reader(object.begin()->value().get_object(), kind);
  RehearsalMessage message = decode_body(kind, reader);
  TRY(reader.finish());
  return message;
}

}  // namespace insomnia::llm
