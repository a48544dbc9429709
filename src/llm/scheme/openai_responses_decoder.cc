#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"
#include "llm/scheme/openai_responses.hh"

namespace insomnia::llm {
namespace {

constexpr std::string_view kMeansNothing[] = {"response.in_progress",         "response.queued",
                                              "response.content_part.added",  "response.content_part.done",
                                              "response.reasoning_summary_part.added", "response.reasoning_summary_part.done",
                                              "response.output_text.annotation.added", "response.reasoning_part.added",
                                              "response.reasoning_part.done"};

bool is_call(std::string_view type) { return type == "function_call" || type == "custom_tool_call"; }

/// Of a failed response: the reason, and what the server adds to it.
CallFailure failed_response(JsonView response, std::string_view data) {
  JsonView error = response.child("error");
  if (!error) return stream_failure(parse_api_error(data));
  return stream_failure({.code = error.has("code") ? error.string("code") : error.string("type"), .message = std::string(text::prefix(error.text("message"), 2000))});
}

}  // namespace

std::optional<CallFailure> ResponsesDecoder::decode(http::SseEvent const& event, std::vector<StreamEvent>& out) {
  std::string_view data = text::trim(event.data);
  if (data.empty() || data == "[DONE]") return std::nullopt;
  auto parsed = json::parse_object(data);
  JsonView json(parsed ? &*parsed : nullptr);
  std::string type = json.string("type");
  if (type.empty()) type = event.event;
  if (!parsed) {
    if (!type.starts_with("response.") && type != "error" && type != "message") {
      out.push_back(Unhandled{type});
      return std::nullopt;
    }
    return CallFailure{.error = std::move(parsed).error().with_context("the stream's event " + type + " cannot be read")};
  }
  JsonView response = json.child("response");
  if (type == "error" || (type == "message" && json.has("error"))) {
    return json.has("error") ? stream_failure(parse_api_error(data))
                             : stream_failure({.code = json.string("code"), .message = std::string(text::prefix(json.text("message"), 2000))});
  }
  if (type == "response.failed") return failed_response(response, data);
  if (type == "response.created" || (type == "response.in_progress" && !started_)) {
    if (!std::exchange(started_, true)) out.push_back(Started{response.string("id"), response.string("model")});
  } else if (type == "response.output_item.added") item_added(json, out);
  else if (type == "response.output_item.done") item_done(json, out);
  else if (type == "response.output_text.delta") delta(json, Part::Text, "content_index", out);
  else if (type == "response.output_text.done") whole(json, Part::Text, "content_index", "text", out);
  else if (type == "response.refusal.delta") delta(json, Part::Refusal, "content_index", out);
  else if (type == "response.refusal.done") whole(json, Part::Refusal, "content_index", "refusal", out);
  else if (type == "response.reasoning_summary_text.delta" || type == "response.reasoning_summary.delta") delta(json, Part::Summary, "summary_index", out);
  else if (type == "response.reasoning_summary_text.done" || type == "response.reasoning_summary.done") whole(json, Part::Summary, "summary_index", "text", out);
  else if (type == "response.reasoning_text.delta") delta(json, Part::Thought, "content_index", out);
  else if (type == "response.reasoning_text.done") whole(json, Part::Thought, "content_index", "text", out);
  else if (type == "response.function_call_arguments.delta" || type == "response.custom_tool_call_input.delta") delta(json, Part::Call, "", out);
  else if (type == "response.function_call_arguments.done") whole(json, Part::Call, "", "arguments", out);
  else if (type == "response.custom_tool_call_input.done") whole(json, Part::Call, "", "input", out);
  else if (type == "response.completed") finished(response, called_ ? StopReason::ToolUse : refused_ ? StopReason::Refusal : StopReason::EndTurn, out);
  else if (type == "response.incomplete") {
    std::string reason = response.child("incomplete_details").string("reason");
    finished(response, reason == "max_output_tokens" ? StopReason::MaxTokens : reason == "content_filter" ? StopReason::ContentFilter : StopReason::Other, out);
  } else if (type == "keepalive" || type == "ping") out.push_back(Ping{});
  else if (std::find(std::begin(kMeansNothing), std::end(kMeansNothing), type) == std::end(kMeansNothing)) out.push_back(Unhandled{type});
  return std::nullopt;
}

ResponsesDecoder::Block& ResponsesDecoder::open(Key key, BlockType type, std::vector<StreamEvent>& out, std::string id, std::string name) {
  auto [it, added] = open_.try_emplace(key);
  if (!added) return it->second;
  it->second.index = next_block_++;
  if (type == BlockType::Thinking) thinking_.try_emplace(key.output, it->second.index);
  out.push_back(BlockStart{.index = it->second.index, .type = type, .id = std::move(id), .name = std::move(name)});
  return it->second;
}

void ResponsesDecoder::close(Key key, std::vector<StreamEvent>& out) {
  auto node = open_.extract(key);
  if (!node.empty()) out.push_back(BlockStop{node.mapped().index});
}

void ResponsesDecoder::close_output(uint64_t output, std::vector<StreamEvent>& out) {
  std::vector<Key> keys;
  for (auto const& [key, block] : open_) {
    if (key.output == output) keys.push_back(key);
  }
  for (auto const& key : keys) close(key, out);
}

void ResponsesDecoder::delta(JsonView event, Part part, std::string_view index_key, std::vector<StreamEvent>& out) {
  Key key{event.number("output_index").value_or(0), part, index_key.empty() ? 0 : event.number(index_key).value_or(0)};
  std::string piece = event.string("delta");
  // A call without its start has no name and can't be made.
  if (part == Part::Call && !open_.contains(key)) return out.push_back(Unhandled{"arguments of a call that did not begin"});
  if (part == Part::Refusal) refused_ = true;
  if (piece.empty()) return;
  BlockType type = part == Part::Summary || part == Part::Thought ? BlockType::Thinking : BlockType::Text;
  Block& block = open(key, type, out);
  block.got_text = true;
  out.push_back(BlockDelta{block.index, std::move(piece)});
}

/// The end of a part. It holds all of it, for servers that stream no pieces.
void ResponsesDecoder::whole(JsonView event, Part part, std::string_view index_key, std::string_view text_key, std::vector<StreamEvent>& out) {
  Key key{event.number("output_index").value_or(0), part, index_key.empty() ? 0 : event.number(index_key).value_or(0)};
  if (part == Part::Refusal) refused_ = true;
  auto it = open_.find(key);
  std::string text = event.string(text_key);
  if (it == open_.end()) {
    if (part == Part::Call || text.empty()) return;
    open(key, part == Part::Summary || part == Part::Thought ? BlockType::Thinking : BlockType::Text, out);
    it = open_.find(key);
  }
  if (!it->second.got_text && !text.empty()) {
    it->second.got_text = true;
    out.push_back(BlockDelta{it->second.index, std::move(text)});
  }
  if (part != Part::Call) close(key, out);
}

void ResponsesDecoder::item_added(JsonView event, std::vector<StreamEvent>& out) {
  JsonView item = event.child("item");
  std::string type = item.string("type");
  if (is_call(type)) {
    called_ = true;
    open({event.number("output_index").value_or(0), Part::Call, 0}, BlockType::ToolUse, out, item.string("call_id"), item.string("name"));
  } else if (type != "message" && type != "reasoning") {
    out.push_back(Unhandled{"output_item:" + type});
  }
}

void ResponsesDecoder::item_done(JsonView event, std::vector<StreamEvent>& out) {
  uint64_t output = event.number("output_index").value_or(0);
  JsonView item = event.child("item");
  std::string type = item.string("type");
  if (is_call(type)) {
    Key key{output, Part::Call, 0};
    called_ = true;
    Block& block = open(key, BlockType::ToolUse, out, item.string("call_id"), item.string("name"));
    std::string arguments = item.string(type == "custom_tool_call" ? "input" : "arguments");
    if (!block.got_text && !arguments.empty()) out.push_back(BlockDelta{block.index, std::move(arguments)});
    return close(key, out);
  }
  close_output(output, out);
  if (type != "reasoning") return;
  wire::Reasoning reasoning;
  reasoning.id = item.string("id");
  for (auto const& part : item.children("summary")) {
    if (std::string text = part.string("text"); !text.empty()) reasoning.summary.push_back(std::move(text));
  }
  for (auto const& part : item.children("content")) reasoning.text += part.text("text");
  if (std::string encrypted = item.string("encrypted_content"); !encrypted.empty()) reasoning.encrypted_content = std::move(encrypted);
  auto block = thinking_.find(output);
  out.push_back(ReasoningDone{std::move(reasoning), block == thinking_.end() ? std::nullopt : std::optional(block->second)});
}

void ResponsesDecoder::finished(JsonView response, StopReason reason, std::vector<StreamEvent>& out) {
  // What is still open was cut off: a call without its end must not be made.
  while (!open_.empty()) {
    Key key = open_.begin()->first;
    if (key.part == Part::Call) open_.erase(open_.begin());
    else close(key, out);
  }
  if (JsonView usage = response.child("usage")) {
    out.push_back(Usage{.input_tokens = usage.number("input_tokens"),
                        .output_tokens = usage.number("output_tokens"),
                        .cache_read_input_tokens = usage.child("input_tokens_details").number("cached_tokens"),
                        .cache_creation_input_tokens = usage.child("input_tokens_details").number("cache_write_tokens")});
  }
  out.push_back(Stopped{reason});
  out.push_back(Completed{});
}

}  // namespace insomnia::llm
