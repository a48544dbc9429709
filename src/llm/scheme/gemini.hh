#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llm/scheme/json_view.hh"
#include "llm/scheme/scheme.hh"

/// Google's Gemini API (generateContent).
namespace insomnia::llm {

/// The JSON body of a streaming request. Pure.
std::string build_gemini_body(Request const& request, ModelConfig const& model);

/// A JSON schema in the words that the API knows; what it does not know is left out. Pure.
std::string gemini_schema(std::string_view json_schema);

/// Reads the stream of one response. A thought signature comes out as reasoning: with `id` the call that it belongs to, without one the text; it is sent back
/// at that place.
class GeminiDecoder final : public Decoder {
 public:
  std::optional<CallFailure> decode(http::SseEvent const& event, std::vector<StreamEvent>& out) override;
  void end(std::vector<StreamEvent>& out) override;

 private:
  void part(JsonView part, std::vector<StreamEvent>& out);
  void call(JsonView call, std::string_view signature, std::vector<StreamEvent>& out);
  void say(BlockType type, std::string_view text, std::vector<StreamEvent>& out);
  void close(std::vector<StreamEvent>& out);
  void reasoning(std::string_view signature, std::string_view call_id, std::vector<StreamEvent>& out);

  bool started_ = false, finished_ = false, completed_ = false;
  std::string response_id_;
  size_t next_block_ = 0, calls_ = 0;
  std::optional<size_t> block_;  ///< the text or thinking that is under way
  BlockType block_type_ = BlockType::Text;
  std::optional<size_t> thinking_block_;  ///< whose thought was not told of yet
  std::string thought_;
};

std::unique_ptr<Scheme> make_gemini_scheme();

}  // namespace insomnia::llm
