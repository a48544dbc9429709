#include <algorithm>
#include <array>

#include "base/text.hh"
#include "llm/scheme/anthropic.hh"
#include "wire/json_writer.hh"

namespace insomnia::llm {

namespace {

using wire::append_json_string;
using wire::ObjectWriter;

constexpr uint64_t kSmallestThinkingBudget = 1024;
constexpr size_t kMostBreakpoints = 4;
constexpr size_t kMaxCallId = 256;

/// One content block of a message; points into the request.
struct Block {
  enum class Kind { Text, Notice, ToolUse, ToolResult, Thinking, RedactedThinking };
  Kind kind;
  size_t item;
  std::string_view text;  ///< of Text
  bool breakpoint = false;
  bool cacheable() const { return kind != Kind::Thinking && kind != Kind::RedactedThinking; }
};

struct AnthropicTurn {
  bool assistant = false;
  std::vector<Block> blocks;
};

/// The conversation as alternating turns: what one side says in a row is one message.
class Conversation {
 public:
  Conversation(std::span<wire::Item const> items, ModelConfig const& model) : model_(model) {
    for (size_t i = 0; i < items.size(); ++i) std::visit([&](auto const& item) { add(i, item); }, items[i]);
  }

  std::vector<AnthropicTurn> const& turns() const { return turns_; }

  /// Marks up to `count` blocks: the end of the conversation, the anchor, the end of the previous request, and what stands before
  /// the last user message. Blocks that mean the same place count once.
  void mark_breakpoints(size_t count, std::optional<size_t> anchor) {
    if (turns_.empty()) return;
    auto mark = [&](Block* block) {
      if (block == nullptr || block->breakpoint || count == 0) return;
      block->breakpoint = true;
      --count;
    };
    mark(last_cacheable(turns_.size()));
    if (anchor && *anchor < item_count_) mark(at_item(*anchor));
    size_t answer = turns_.size();
    while (answer > 0 && !turns_[answer - 1].assistant) --answer;
    if (answer > 0) mark(last_cacheable(answer - 1));
    if (last_user_ && *last_user_ > 0) mark(at_item(*last_user_ - 1));
  }

 private:
  void push(bool assistant, Block block) {
    if (turns_.empty() || turns_.back().assistant != assistant) turns_.push_back({.assistant = assistant, .blocks = {}});
    auto& blocks = turns_.back().blocks;
    // Results answer the calls right before them, so they come first in their message whatever was logged in between.
    auto at = block.kind != Block::Kind::ToolResult ? blocks.end() : std::ranges::find_if(blocks, [](Block const& earlier) {
      return earlier.kind != Block::Kind::ToolResult;
    });
    blocks.insert(at, block);
  }

  void add(size_t index, wire::Message const& message) {
    ++item_count_;
    if (message.role == wire::Role::User) last_user_ = index;
    for (auto const& part : message.content) {
      if (text::trim(part.text).empty()) continue;  // the API refuses blank text
      push(message.role == wire::Role::Assistant,
           {.kind = message.role == wire::Role::System ? Block::Kind::Notice : Block::Kind::Text,
            .item = index,
            .text = part.text});
    }
  }
  void add(size_t index, wire::ToolCall const&) {
    ++item_count_;
    push(true, {.kind = Block::Kind::ToolUse, .item = index, .text = {}});
  }
  void add(size_t index, wire::ToolResult const&) {
    ++item_count_;
    push(false, {.kind = Block::Kind::ToolResult, .item = index, .text = {}});
  }
  void add(size_t index, wire::Reasoning const& reasoning) {
    ++item_count_;
    if (!understands(model_, reasoning)) return;
    if (reasoning.signature) {
      push(true, {.kind = Block::Kind::Thinking, .item = index, .text = {}});
    } else if (reasoning.encrypted_content) {
      push(true, {.kind = Block::Kind::RedactedThinking, .item = index, .text = {}});
    }
  }

  /// The last block before turn `end` that may carry a breakpoint.
  Block* last_cacheable(size_t end) {
    while (end-- > 0) {
      auto& blocks = turns_[end].blocks;
      auto found = std::find_if(blocks.rbegin(), blocks.rend(), [](Block const& block) { return block.cacheable(); });
      if (found != blocks.rend()) return &*found;
    }
    return nullptr;
  }

  /// The last such block of item `index` or, where it has none, of an item before it.
  Block* at_item(size_t index) {
    Block* best = nullptr;
    for (AnthropicTurn& turn : turns_) {
      for (Block& block : turn.blocks) {
        if (block.cacheable() && block.item <= index && (best == nullptr || block.item >= best->item)) best = &block;
      }
    }
    return best;
  }

  ModelConfig const& model_;
  std::vector<AnthropicTurn> turns_;
  std::optional<size_t> last_user_;
  size_t item_count_ = 0;
};

void write_cache_control(ObjectWriter& object) {
  object.object("cache_control", [](ObjectWriter& inner) { inner.string("type", "ephemeral"); });
}

void write_block(std::string& out, Block const& block, wire::Item const& item) {
  ObjectWriter object(out);
  switch (block.kind) {
    case Block::Kind::Text:
      object.string("type", "text");
      object.string("text", block.text);
      break;
    case Block::Kind::Notice:
      object.string("type", "text");
      object.string("text", system_notice(block.text));
      break;
    case Block::Kind::ToolUse: {
      auto const& call = std::get<wire::ToolCall>(item);
      object.string("type", "tool_use");
      object.string("id", portable_call_id(call.call_id, kMaxCallId));
      object.string("name", call.name);
      object.json("input", wire::normalize_arguments(call.arguments));
      break;
    }
    case Block::Kind::ToolResult: {
      auto const& result = std::get<wire::ToolResult>(item);
      object.string("type", "tool_result");
      object.string("tool_use_id", portable_call_id(result.call_id, kMaxCallId));
      object.string("content", wire::result_text(result));
      if (result.is_error) object.boolean("is_error", true);
      break;
    }
    case Block::Kind::Thinking: {
      auto const& reasoning = std::get<wire::Reasoning>(item);
      object.string("type", "thinking");
      object.string("thinking", reasoning.text);
      object.string("signature", *reasoning.signature);
      break;
    }
    case Block::Kind::RedactedThinking:
      object.string("type", "redacted_thinking");
      object.string("data", *std::get<wire::Reasoning>(item).encrypted_content);
      break;
  }
  if (block.breakpoint) write_cache_control(object);
}

void write_turn(std::string& out, AnthropicTurn const& turn, std::span<wire::Item const> items) {
  ObjectWriter object(out);
  object.string("role", turn.assistant ? "assistant" : "user");
  Block const& first = turn.blocks.front();
  if (!turn.assistant && turn.blocks.size() == 1 && first.kind == Block::Kind::Text && !first.breakpoint) {
    object.string("content", first.text);
    return;
  }
  object.list("content", turn.blocks, [&](std::string& list, Block const& block) { write_block(list, block, items[block.item]); });
}

void write_tool(std::string& out, ToolDefinition const& tool, bool breakpoint) {
  ObjectWriter object(out);
  object.string("name", tool.name);
  if (!tool.description.empty()) object.string("description", tool.description);
  std::string schema = wire::normalize_arguments(tool.input_schema);
  object.json("input_schema", schema == "{}" ? R"({"type":"object","properties":{}})" : schema);
  if (breakpoint) write_cache_control(object);
}

void write_sampling(ObjectWriter& body, wire::RequestConfig const& config, bool thinking) {
  // With thinking the API takes these only at their defaults; request_warnings() tells people.
  if (config.temperature && !thinking) wire::append_json_number(body.key("temperature"), *config.temperature);
  if (config.top_p && (!thinking || *config.top_p >= 0.95)) wire::append_json_number(body.key("top_p"), *config.top_p);
  if (config.top_k && !thinking) body.uint("top_k", *config.top_k);
  if (!config.stop_sequences.empty()) body.list("stop_sequences", config.stop_sequences, append_json_string);
}

}  // namespace

AnthropicLimits anthropic_limits(wire::RequestConfig const& config, ModelConfig const& model) {
  AnthropicLimits limits{.max_tokens = config.max_tokens.value_or(model.default_max_tokens), .thinking_budget = {}};
  if (model.capability.reasoning != "budget_tokens" && model.capability.reasoning != "both") return limits;
  if (!config.reasoning) return limits;
  auto const* budget = std::get_if<int64_t>(&*config.reasoning);
  if (budget == nullptr || *budget <= 0) return limits;
  limits.thinking_budget = std::max(static_cast<uint64_t>(*budget), kSmallestThinkingBudget);
  // Thinking is paid from max_tokens, so the room that was asked for is what the answer itself gets.
  if (*limits.thinking_budget >= limits.max_tokens) limits.max_tokens += *limits.thinking_budget;
  return limits;
}

std::string build_anthropic_body(Request const& request, ModelConfig const& model) {
  Conversation conversation(request.items, model);
  size_t breakpoints = 0;
  bool mark_system = false, mark_tools = false;
  if (model.capability.explicit_caching) {
    breakpoints = kMostBreakpoints;
    if (model.capability.max_breakpoints > 0) breakpoints = std::min<size_t>(breakpoints, model.capability.max_breakpoints);
    // One always stays for the conversation's end; of the two others the prompt counts more, it stands behind the tools.
    mark_system = !request.system_prompt.empty() && breakpoints > 1;
    breakpoints -= mark_system ? 1 : 0;
    mark_tools = !request.tools.empty() && breakpoints > 1;
    breakpoints -= mark_tools ? 1 : 0;
    conversation.mark_breakpoints(breakpoints, request.cache_anchor);
  }
  AnthropicLimits limits = anthropic_limits(request.config, model);

  std::string out;
  out.reserve(estimated_body_size(request));
  {
    ObjectWriter body(out);
    body.string("model", model.model_id);
    body.uint("max_tokens", limits.max_tokens);
    if (mark_system) {
      body.list("system", std::array{request.system_prompt}, [](std::string& list, std::string_view prompt) {
        ObjectWriter part(list);
        part.string("type", "text");
        part.string("text", prompt);
        write_cache_control(part);
      });
    } else if (!request.system_prompt.empty()) {
      body.string("system", request.system_prompt);
    }
    if (!request.tools.empty()) {
      body.list("tools", request.tools, [&](std::string& list, ToolDefinition const& tool) {
        write_tool(list, tool, mark_tools && &tool == &request.tools.back());
      });
    }
    body.list("messages", conversation.turns(),
              [&](std::string& list, AnthropicTurn const& turn) { write_turn(list, turn, request.items); });
    write_sampling(body, request.config, limits.thinking_budget.has_value());
    if (limits.thinking_budget) {
      body.object("thinking", [&](ObjectWriter& thinking) {
        thinking.string("type", "enabled");
        thinking.uint("budget_tokens", *limits.thinking_budget);
      });
    }
    body.boolean("stream", true);
  }
  return out;
}

}  // namespace insomnia::llm
