#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"
#include "llm/scheme/anthropic.hh"

namespace insomnia::llm {

namespace {

StopReason stop_reason(std::string_view reason) {
  if (reason == "end_turn") return StopReason::EndTurn;
  if (reason == "tool_use") return StopReason::ToolUse;
  if (reason == "max_tokens" || reason == "model_context_window_exceeded") return StopReason::MaxTokens;
  if (reason == "stop_sequence") return StopReason::StopSequence;
  if (reason == "refusal") return StopReason::Refusal;
  if (reason == "pause_turn") return StopReason::PauseTurn;
  return StopReason::Other;
}

}  // namespace

std::optional<CallFailure> AnthropicDecoder::decode(http::SseEvent const& event, std::vector<StreamEvent>& out) {
  auto parsed = json::parse_object(event.data);
  std::string type = parsed ? JsonView(&*parsed).string("type") : "";
  if (type.empty()) type = event.event;
  if (type == "error") return stream_failure(parse_api_error(event.data));
  if (type == "ping") {
    out.push_back(Ping{});
    return std::nullopt;
  }
  bool known = type == "message_start" || type == "content_block_start" || type == "content_block_delta" ||
               type == "content_block_stop" || type == "message_delta" || type == "message_stop";
  if (!known) {
    out.push_back(Unhandled{type});
    return std::nullopt;
  }
  if (!parsed) {
    return CallFailure{.error = std::move(parsed).error().with_context("the stream's event " + type + " cannot be read")};
  }
  JsonView json(&*parsed);
  if (type == "message_start") {
    message_start(json, out);
  } else if (type == "content_block_start") {
    block_start(json, out);
  } else if (type == "content_block_delta") {
    block_delta(json, out);
  } else if (type == "content_block_stop") {
    block_stop(json.number("index").value_or(0), out);
  } else if (type == "message_delta") {
    message_delta(json, out);
  } else {
    while (!blocks_.empty()) block_stop(blocks_.begin()->first, out);
    out.push_back(Completed{});
  }
  return std::nullopt;
}

void AnthropicDecoder::message_start(JsonView event, std::vector<StreamEvent>& out) {
  JsonView message = event.child("message");
  out.push_back(Started{.request_id = message.string("id"), .model = message.string("model")});
  usage(message.child("usage"), out);
}

AnthropicDecoder::Block& AnthropicDecoder::open_block(size_t index, BlockType type, std::vector<StreamEvent>& out) {
  if (blocks_.contains(index)) block_stop(index, out);
  Block& block = blocks_[index];
  block.type = type;
  return block;
}

void AnthropicDecoder::block_start(JsonView event, std::vector<StreamEvent>& out) {
  size_t index = event.number("index").value_or(0);
  JsonView content = event.child("content_block");
  std::string type = content.string("type");
  if (type == "text") {
    open_block(index, BlockType::Text, out);
    out.push_back(BlockStart{.index = index, .type = BlockType::Text});
    if (std::string text = content.string("text"); !text.empty()) out.push_back(BlockDelta{index, std::move(text)});
  } else if (type == "thinking") {
    Block& block = open_block(index, BlockType::Thinking, out);
    out.push_back(BlockStart{.index = index, .type = BlockType::Thinking});
    block.reasoning.text = content.string("thinking");
    if (std::string signature = content.string("signature"); !signature.empty()) block.reasoning.signature = signature;
    if (!block.reasoning.text.empty()) out.push_back(BlockDelta{index, block.reasoning.text});
  } else if (type == "redacted_thinking") {
    Block& block = open_block(index, BlockType::Thinking, out);
    block.reasoning.encrypted_content = content.string("data");
    out.push_back(BlockStart{.index = index, .type = BlockType::Thinking});
  } else if (type == "tool_use") {
    Block& block = open_block(index, BlockType::ToolUse, out);
    out.push_back(BlockStart{
        .index = index, .type = BlockType::ToolUse, .id = content.string("id"), .name = content.string("name")});
    if (JsonView input = content.child("input"); !input.is_empty()) {
      block.initial_arguments = json::dump(*input.object());
    }
  } else {
    open_block(index, BlockType::Text, out).known = false;
    out.push_back(Unhandled{"content_block_start:" + type});
  }
}

void AnthropicDecoder::block_delta(JsonView event, std::vector<StreamEvent>& out) {
  size_t index = event.number("index").value_or(0);
  JsonView delta = event.child("delta");
  std::string type = delta.string("type");
  bool is_text = type == "text_delta", is_thinking = type == "thinking_delta";
  auto found = blocks_.find(index);
  if (found == blocks_.end()) {
    // A start that never came can be made up for text, but not for a tool call, which has a name.
    if (!is_text && !is_thinking) {
      out.push_back(Unhandled{"content_block_delta:" + type});
      return;
    }
    BlockType block_type = is_text ? BlockType::Text : BlockType::Thinking;
    out.push_back(BlockStart{.index = index, .type = block_type});
    open_block(index, block_type, out);
    found = blocks_.find(index);
  }
  Block& block = found->second;
  if (!block.known) return;
  std::string piece;
  if (is_text && block.type == BlockType::Text) {
    piece = delta.string("text");
  } else if (is_thinking && block.type == BlockType::Thinking) {
    piece = delta.string("thinking");
    block.reasoning.text += piece;
  } else if (type == "input_json_delta" && block.type == BlockType::ToolUse) {
    piece = delta.string("partial_json");
    if (!piece.empty()) block.got_arguments = true;
  } else if (type == "signature_delta" && block.type == BlockType::Thinking) {
    if (!block.reasoning.signature) block.reasoning.signature = "";
    *block.reasoning.signature += delta.string("signature");
  } else {
    out.push_back(Unhandled{"content_block_delta:" + type});
  }
  if (!piece.empty()) out.push_back(BlockDelta{index, std::move(piece)});
}

void AnthropicDecoder::block_stop(size_t index, std::vector<StreamEvent>& out) {
  auto node = blocks_.extract(index);
  if (node.empty() || !node.mapped().known) return;
  Block& block = node.mapped();
  if (block.type == BlockType::ToolUse && !block.got_arguments && !block.initial_arguments.empty()) {
    out.push_back(BlockDelta{index, std::move(block.initial_arguments)});
  }
  out.push_back(BlockStop{index});
  if (block.type == BlockType::Thinking) out.push_back(ReasoningDone{std::move(block.reasoning), index});
}

void AnthropicDecoder::message_delta(JsonView event, std::vector<StreamEvent>& out) {
  usage(event.child("usage"), out);
  if (std::string reason = event.child("delta").string("stop_reason"); !reason.empty()) {
    out.push_back(Stopped{stop_reason(reason)});
  }
}

void AnthropicDecoder::usage(JsonView event, std::vector<StreamEvent>& out) {
  if (!event) return;
  Usage usage{.input_tokens = {},
              .output_tokens = event.number("output_tokens"),
              .cache_read_input_tokens = event.number("cache_read_input_tokens"),
              .cache_creation_input_tokens = event.number("cache_creation_input_tokens")};
  auto input = event.number("input_tokens");
  if (input) input_ = input;
  if (usage.cache_read_input_tokens) cache_read_ = *usage.cache_read_input_tokens;
  if (usage.cache_creation_input_tokens) cache_creation_ = *usage.cache_creation_input_tokens;
  bool prompt_known = input || usage.cache_read_input_tokens || usage.cache_creation_input_tokens;
  if (input_ && prompt_known) usage.input_tokens = *input_ + cache_read_ + cache_creation_;
  if (usage != Usage{}) out.push_back(usage);
}

}  // namespace insomnia::llm
