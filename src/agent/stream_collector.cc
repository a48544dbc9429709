#include "agent/stream_collector.hh"

namespace insomnia::agent {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

template <class T>
void keep_latest(std::optional<T>& kept, std::optional<T> const& newer) {
  if (newer) kept = newer;
}

}  // namespace

void StreamCollector::add_block(size_t index, Block block) {
  open_[index] = blocks_.size();
  blocks_.push_back(std::move(block));
}

std::vector<wire::EventBody> StreamCollector::take(llm::StreamEvent const& event) {
  std::vector<wire::EventBody> out;
  std::visit(
      Overloaded{
          [&](llm::BlockStart const& start) {
            add_block(start.index, Block{.type = start.type, .id = start.id, .name = start.name});
            if (start.type == llm::BlockType::Thinking) out.emplace_back(wire::ThinkingStartEvent{});
            if (start.type == llm::BlockType::ToolUse) out.emplace_back(wire::ToolCallStartEvent{start.id, start.name});
            if (start.type != llm::BlockType::Text) active_ = true;
          },
          [&](llm::BlockDelta const& delta) {
            if (delta.text.empty()) return;
            if (!open_.contains(delta.index)) add_block(delta.index, Block{});  // text without a start
            Block& block = blocks_[open_[delta.index]];
            block.text += delta.text;
            active_ = true;
            switch (block.type) {
              case llm::BlockType::Text: out.emplace_back(wire::TextDeltaEvent{delta.text}); break;
              case llm::BlockType::Thinking: out.emplace_back(wire::ThinkingDeltaEvent{delta.text}); break;
              case llm::BlockType::ToolUse: out.emplace_back(wire::ToolCallArgsDeltaEvent{block.id, delta.text}); break;
            }
          },
          [&](llm::BlockStop const& stop) {
            auto it = open_.find(stop.index);
            if (it == open_.end()) return;
            Block& block = blocks_[it->second];
            open_.erase(it);
            block.stopped = true;
            switch (block.type) {
              case llm::BlockType::Text: out.emplace_back(wire::TextDoneEvent{block.text}); break;
              case llm::BlockType::Thinking: out.emplace_back(wire::ThinkingDoneEvent{block.text}); break;
              case llm::BlockType::ToolUse: {
                std::string arguments = wire::normalize_arguments(block.text);
                block.malformed = arguments != block.text;
                block.text = std::move(arguments);
                out.emplace_back(wire::ToolCallDoneEvent{block.id, block.name, block.text});
                break;
              }
            }
          },
          [&](llm::ReasoningDone const& done) { reasoning_.push_back(done.item); },
          [&](llm::Usage const& usage) {
            keep_latest(usage_.input_tokens, usage.input_tokens);
            keep_latest(usage_.output_tokens, usage.output_tokens);
            keep_latest(usage_.cache_read_input_tokens, usage.cache_read_input_tokens);
            keep_latest(usage_.cache_creation_input_tokens, usage.cache_creation_input_tokens);
          },
          [&](llm::Stopped const& stopped) { stop_reason_ = stopped.reason; },
          [&](llm::Completed const&) { completed_ = true; },
          [](auto const&) {},
      },
      event);
  return out;
}

std::vector<wire::EventBody> StreamCollector::close() {
  std::vector<wire::EventBody> out;
  for (auto& block : blocks_) {
    if (block.type != llm::BlockType::Thinking || block.stopped) continue;
    block.stopped = true;
    out.emplace_back(wire::ThinkingDoneEvent{block.text});
  }
  open_.clear();
  return out;
}

std::vector<wire::Item> StreamCollector::text_and_reasoning() const {
  std::vector<wire::Item> items;
  for (auto const& reasoning : reasoning_) items.emplace_back(reasoning);
  std::string text;
  for (auto const& block : blocks_) {
    if (block.type == llm::BlockType::Text) text += block.text;
  }
  if (!text.empty()) items.push_back(wire::assistant_message(std::move(text)));
  return items;
}

std::vector<wire::Item> StreamCollector::items() const {
  std::vector<wire::Item> items = text_and_reasoning();
  bool limit_hit = stop_reason_ == llm::StopReason::MaxTokens;
  for (auto const& block : blocks_) {
    if (block.type != llm::BlockType::ToolUse || !block.stopped) continue;
    if (limit_hit && block.malformed && &block == &blocks_.back()) continue;
    items.emplace_back(wire::ToolCall{block.id, block.name, block.text});
  }
  // Vendors refuse reasoning that nothing follows.
  if (items.size() == reasoning_.size()) items.clear();
  return items;
}

std::vector<wire::Item> StreamCollector::salvage() const {
  std::vector<wire::Item> items = text_and_reasoning();
  if (items.size() == reasoning_.size()) items.clear();  // as above; the model thinks again anyway
  return items;
}

wire::InFlight StreamCollector::in_flight() const {
  wire::InFlight result;
  for (auto const& block : blocks_) {
    switch (block.type) {
      case llm::BlockType::Text: result.text += block.text; break;
      case llm::BlockType::Thinking: result.thinking += block.text; break;
      case llm::BlockType::ToolUse: result.tool_calls.push_back({block.id, block.name, block.text}); break;
    }
  }
  return result;
}

}  // namespace insomnia::agent
