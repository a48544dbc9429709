#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"
#include "llm/scheme/openai_chat.hh"
#include "wire/json_writer.hh"

namespace insomnia::llm {
namespace {

StopReason stop_reason(std::string_view reason) {
  if (reason == "stop" || reason == "eos" || reason == "end_turn") return StopReason::EndTurn;
  if (reason == "tool_calls" || reason == "function_call") return StopReason::ToolUse;
  if (reason == "length" || reason == "max_tokens" || reason == "model_length") return StopReason::MaxTokens;
  if (reason == "content_filter" || reason == "content-filter") return StopReason::ContentFilter;
  return StopReason::Other;
}

}  // namespace

std::optional<CallFailure> ChatDecoder::decode(http::SseEvent const& event, std::vector<StreamEvent>& out) {
  std::string_view data = text::trim(event.data);
  if (data.empty()) return std::nullopt;
  if (data == "[DONE]") {
    close_all(out);
    if (!finished_) return std::nullopt;  // what was not finished is not complete
    completed_ = true;
    out.push_back(Completed{});
    return std::nullopt;
  }
  auto parsed = json::parse_object(data);
  if (!parsed) return CallFailure{.error = std::move(parsed).error().with_context("the stream's event cannot be read")};
  JsonView chunk(&*parsed);
  if (chunk.has("error")) return stream_failure(parse_api_error(data));
  if (!started_) {
    started_ = true;
    response_id_ = chunk.string("id");
    out.push_back(Started{response_id_, chunk.string("model")});
  }
  bool has_choices = chunk.has("choices");
  for (auto const& choice : chunk.children("choices")) {
    if (choice.number("index").value_or(0) != 0) continue;  // one was asked for
    if (choice.has("error")) return stream_failure(parse_api_error("{\"error\":" + choice.json("error") + "}"));
    // Some servers send the last piece as a whole message.
    JsonView delta = choice.has("delta") ? choice.child("delta") : choice.child("message");
    std::string_view field = delta.text("reasoning_content").empty() ? "reasoning" : "reasoning_content";
    thinking(delta.text(field), field, out);
    details(delta);
    text(delta.text("content"), out);
    if (auto refusal = delta.text("refusal"); !refusal.empty()) {
      refused_ = true;
      text(refusal, out);
    }
    for (auto const& call : delta.children("tool_calls")) tool_call(call, out);
    std::string_view reason = choice.text("finish_reason");
    if (reason.empty() || finished_) continue;
    if (reason == "error") return CallFailure{.error = {Code::Unavailable, "the server broke the answer off"}, .api_code = "error", .retryable = true};
    finished_ = true;
    StopReason stop = refused_ ? StopReason::Refusal : stop_reason(reason);
    if (stop == StopReason::EndTurn && !tools_.empty()) stop = StopReason::ToolUse;
    out.push_back(Stopped{stop});
  }
  JsonView own_usage = chunk.child("usage");
  usage(own_usage ? own_usage : chunk.child("x_groq").child("usage"), out);
  if (!has_choices && !own_usage) out.push_back(Unhandled{chunk.has("object") ? chunk.string("object") : "chunk without choices"});
  return std::nullopt;
}

/// Servers that end without [DONE] have at least said why they stopped.
void ChatDecoder::end(std::vector<StreamEvent>& out) {
  if (completed_ || !finished_) return;
  close_all(out);
  completed_ = true;
  out.push_back(Completed{});
}

void ChatDecoder::text(std::string_view piece, std::vector<StreamEvent>& out) {
  if (piece.empty()) return;
  close_thinking(out);
  if (!text_block_) {
    text_block_ = next_block_++;
    out.push_back(BlockStart{.index = *text_block_, .type = BlockType::Text});
  }
  out.push_back(BlockDelta{*text_block_, std::string(piece)});
}

void ChatDecoder::thinking(std::string_view piece, std::string_view field, std::vector<StreamEvent>& out) {
  if (piece.empty()) return;
  if (!thinking_block_) {
    thinking_block_ = next_block_++;
    if (!first_thinking_) first_thinking_ = thinking_block_;
    out.push_back(BlockStart{.index = *thinking_block_, .type = BlockType::Thinking});
  }
  thought_ += piece;
  thought_field_ = field;
  out.push_back(BlockDelta{*thinking_block_, std::string(piece)});
}

/// Pieces of one entry have the same type and index; their texts are joined.
void ChatDecoder::details(JsonView delta) {
  for (auto const& piece : delta.children("reasoning_details")) {
    std::string_view type = piece.text("type");
    auto number = piece.number("index");
    Detail* detail = nullptr;
    for (auto& known : details_) {
      if (known.type == type && known.number == number) detail = &known;
    }
    if (detail == nullptr) {
      detail = &details_.emplace_back();
      detail->type = type;
      detail->number = number;
    }
    detail->text += piece.text("text");
    detail->summary += piece.text("summary");
    detail->data += piece.text("data");
    detail->signature += piece.text("signature");
    boost::json::object rest;
    for (auto const& member : *piece.object()) {
      std::string_view key = member.key();
      bool joined = key == "text" || key == "summary" || key == "data" || key == "signature" || key == "type" || key == "index";
      if (!joined && !member.value().is_null()) rest[key] = member.value();
    }
    if (!rest.empty()) detail->rest = json::dump(rest);
  }
}

std::string ChatDecoder::details_json() const {
  std::string out = "[";
  for (auto const& detail : details_) {
    if (out.size() > 1) out += ',';
    wire::ObjectWriter object(out);
    object.string("type", detail.type);
    if (!detail.text.empty() || detail.type == "reasoning.text") object.string("text", detail.text);
    if (!detail.summary.empty()) object.string("summary", detail.summary);
    if (!detail.data.empty()) object.string("data", detail.data);
    if (!detail.signature.empty()) object.string("signature", detail.signature);
    if (detail.number) object.uint("index", *detail.number);
    auto rest = json::parse_object(detail.rest);
    if (!rest) continue;
    for (auto const& member : *rest) object.json(member.key(), json::dump(member.value()));
  }
  return out + "]";
}

ChatDecoder::Tool& ChatDecoder::tool_for(JsonView call, std::vector<StreamEvent>& out) {
  auto number = call.number("index");
  std::string_view id = call.text("id"), name = call.child("function").text("name");
  Tool* same = nullptr;
  for (auto& tool : tools_) {
    if (number ? tool.number == number : &tool == &tools_.back()) same = &tool;
  }
  // Another id under the same number is another call; so is a name without number and id.
  bool other = same == nullptr || (!id.empty() && !same->id.empty() && same->id != id) || (!number && id.empty() && !name.empty());
  if (!other) return *same;
  if (same != nullptr && number) close_tool(*same, out);
  Tool& tool = tools_.emplace_back();
  tool.number = number;
  tool.block = next_block_++;
  return tool;
}

void ChatDecoder::tool_call(JsonView call, std::vector<StreamEvent>& out) {
  close_thinking(out);
  close_text(out);
  JsonView function = call.child("function");
  Tool& tool = tool_for(call, out);
  if (tool.id.empty()) tool.id = call.text("id");
  if (tool.name.empty()) tool.name = function.text("name");
  auto const* arguments = function.find("arguments");
  if (arguments != nullptr) tool.waiting += arguments->is_string() ? std::string(arguments->get_string()) : json::dump(*arguments);
  if (!tool.started && !tool.name.empty()) start_tool(tool, out);
  if (!tool.started || tool.stopped || tool.waiting.empty()) return;
  out.push_back(BlockDelta{tool.block, std::exchange(tool.waiting, "")});
}

void ChatDecoder::start_tool(Tool& tool, std::vector<StreamEvent>& out) {
  tool.started = true;
  if (tool.id.empty()) tool.id = made_up_call_id(response_id_, static_cast<size_t>(&tool - tools_.data()));
  out.push_back(BlockStart{.index = tool.block, .type = BlockType::ToolUse, .id = tool.id, .name = tool.name});
}

void ChatDecoder::close_text(std::vector<StreamEvent>& out) {
  if (text_block_) out.push_back(BlockStop{*text_block_});
  text_block_.reset();
}

void ChatDecoder::close_thinking(std::vector<StreamEvent>& out) {
  if (thinking_block_) out.push_back(BlockStop{*thinking_block_});
  thinking_block_.reset();
}

void ChatDecoder::close_tool(Tool& tool, std::vector<StreamEvent>& out) {
  if (tool.started && !tool.stopped) out.push_back(BlockStop{tool.block});
  tool.stopped = true;
}

/// Reasoning is whole only now: its encrypted part can come after the call that it led to.
void ChatDecoder::close_all(std::vector<StreamEvent>& out) {
  close_thinking(out);
  close_text(out);
  for (auto& tool : tools_) {
    if (!tool.started) out.push_back(Unhandled{"a tool call without a name"});
    close_tool(tool, out);
  }
  if (thought_.empty() && details_.empty()) return;
  wire::Reasoning reasoning{.text = std::exchange(thought_, ""), .summary = {}, .encrypted_content = {}, .signature = {}};
  if (!details_.empty()) reasoning.encrypted_content = details_json();
  else reasoning.signature = thought_field_;
  details_.clear();
  out.push_back(ReasoningDone{std::move(reasoning), first_thinking_});
}

void ChatDecoder::usage(JsonView usage, std::vector<StreamEvent>& out) {
  if (!usage) return;
  JsonView prompt = usage.child("prompt_tokens_details");
  Usage result{.input_tokens = usage.number("prompt_tokens"),
               .output_tokens = usage.number("completion_tokens"),
               .cache_read_input_tokens = prompt.number("cached_tokens"),
               .cache_creation_input_tokens = prompt.number("cache_write_tokens")};
  if (!result.cache_read_input_tokens) result.cache_read_input_tokens = usage.number("prompt_cache_hit_tokens");
  if (!result.cache_creation_input_tokens) result.cache_creation_input_tokens = usage.number("cache_creation_input_tokens");
  // Some count the thinking beside the answer.
  auto total = usage.number("total_tokens");
  if (total && result.input_tokens && result.output_tokens && *total > *result.input_tokens + *result.output_tokens) result.output_tokens = *total - *result.input_tokens;
  if (result != Usage{}) out.push_back(result);
}

}  // namespace insomnia::llm
