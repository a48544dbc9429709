#include "agent/stream_collector.hh"

#include <utility>

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
  open_[index] = latest_[index] = blocks_.size();
  if (block.type != llm::BlockType::Thinking) block.reasoning = std::exchange(pending_, {});
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
          [&](llm::ReasoningDone const& done) { add_reasoning(done); },
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

void StreamCollector::add_reasoning(llm::ReasoningDone const& done) {
  auto it = done.block ? latest_.find(*done.block) : latest_.end();
  if (it != latest_.end()) blocks_[it->second].reasoning.push_back(done.item);
  else pending_.push_back(done.item);
}

std::vector<wire::Item> StreamCollector::collected(bool with_calls) const {
  struct Segment {
    std::vector<wire::Reasoning> reasoning;
    std::string text;
    std::vector<wire::ToolCall> calls;
    bool says_something() const { return !text.empty() || !calls.empty(); }
  };
  std::vector<Segment> segments(1);
  auto think = [&](std::vector<wire::Reasoning> const& reasoning) {
    if (reasoning.empty()) return;
    if (segments.back().says_something()) segments.emplace_back();
    segments.back().reasoning.insert(segments.back().reasoning.end(), reasoning.begin(), reasoning.end());
  };
  bool limit_hit = stop_reason_ == llm::StopReason::MaxTokens;
  for (auto const& block : blocks_) {
    bool is_call = block.type == llm::BlockType::ToolUse;
    bool cut = limit_hit && block.malformed && &block == &blocks_.back();
    if (is_call && (!with_calls || !block.stopped || cut)) continue;
    think(block.reasoning);
    if (block.type == llm::BlockType::Text) segments.back().text += block.text;
    if (is_call) segments.back().calls.push_back({block.id, block.name, block.text});
  }
  think(pending_);
  std::vector<wire::Item> items;
  bool anything = false;
  for (auto& segment : segments) {
    anything = anything || segment.says_something();
    for (auto& reasoning : segment.reasoning) items.emplace_back(std::move(reasoning));
    if (!segment.text.empty()) items.push_back(wire::assistant_message(std::move(segment.text)));
    for (auto& call : segment.calls) items.emplace_back(std::move(call));
  }
  // Vendors refuse reasoning that nothing follows.
  if (!anything) items.clear();
  return items;
}

std::vector<wire::Item> StreamCollector::items() const { return collected(true); }

std::vector<wire::Item> StreamCollector::salvage() const {
  std::vector<wire::Item> items = collected(false);
  while (!items.empty() && std::holds_alternative<wire::Reasoning>(items.back())) items.pop_back();  // as above; the model thinks again anyway
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
