#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llm/scheme/json_view.hh"
#include "llm/scheme/scheme.hh"

/// Anthropic's Messages API, as other servers speak it too.
namespace insomnia::llm {

/// The JSON body of a streaming request. Pure.
std::string build_anthropic_body(Request const& request, ModelConfig const& model);

/// What the request will ask for after the model's rules: a thinking budget is at least 1024 and below max_tokens.
struct AnthropicLimits {
  uint64_t max_tokens = 0;
  std::optional<uint64_t> thinking_budget;
  friend bool operator==(AnthropicLimits const&, AnthropicLimits const&) = default;
};
AnthropicLimits anthropic_limits(wire::RequestConfig const& config, ModelConfig const& model);

/// Reads the event stream of one response. Unknown kinds of events, blocks and deltas become Unhandled and never end the call.
class AnthropicDecoder final : public Decoder {
 public:
  std::optional<CallFailure> decode(http::SseEvent const& event, std::vector<StreamEvent>& out) override;

 private:
  struct Block {
    BlockType type = BlockType::Text;
    bool known = true;
    bool got_arguments = false;
    std::string initial_arguments;  ///< of a tool call that came whole in its start
    wire::Reasoning reasoning;
  };

  void message_start(JsonView event, std::vector<StreamEvent>& out);
  void block_start(JsonView event, std::vector<StreamEvent>& out);
  void block_delta(JsonView event, std::vector<StreamEvent>& out);
  void block_stop(size_t index, std::vector<StreamEvent>& out);
  void message_delta(JsonView event, std::vector<StreamEvent>& out);
  void usage(JsonView event, std::vector<StreamEvent>& out);
  Block& open_block(size_t index, BlockType type, std::vector<StreamEvent>& out);

  std::map<size_t, Block> blocks_;
  // The prompt is reported in parts, and later reports may hold only some of them.
  std::optional<uint64_t> input_;
  uint64_t cache_read_ = 0;
  uint64_t cache_creation_ = 0;
};

std::unique_ptr<Scheme> make_anthropic_scheme();

}  // namespace insomnia::llm
