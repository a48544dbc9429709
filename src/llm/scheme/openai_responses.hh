#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "llm/scheme/json_view.hh"
#include "llm/scheme/scheme.hh"

/// OpenAI's Responses API, without state on the server: everything is sent with every request, reasoning encrypted.
namespace insomnia::llm {

/// The JSON body of a streaming request. Pure.
std::string build_responses_body(Request const& request, ModelConfig const& model);

/// Reads the event stream of one response. Unknown kinds of events and items become Unhandled and never end the call. Reasoning comes out with its `id`,
/// `summary` and `encrypted_content`; `text` is what it thought in plain words, if that is shown.
class ResponsesDecoder final : public Decoder {
 public:
  std::optional<CallFailure> decode(http::SseEvent const& event, std::vector<StreamEvent>& out) override;

 private:
  /// A part of an output item that is a block: (output index, kind, index in the item).
  enum class Part { Text, Refusal, Summary, Thought, Call };
  struct Key {
    uint64_t output = 0;
    Part part = Part::Text;
    uint64_t index = 0;
    friend auto operator<=>(Key const&, Key const&) = default;
  };
  struct Block {
    size_t index = 0;
    bool got_text = false;
  };

  void delta(JsonView event, Part part, std::string_view index_key, std::vector<StreamEvent>& out);
  void whole(JsonView event, Part part, std::string_view index_key, std::string_view text_key, std::vector<StreamEvent>& out);
  Block& open(Key key, BlockType type, std::vector<StreamEvent>& out, std::string id = "", std::string name = "");
  void close(Key key, std::vector<StreamEvent>& out);
  void close_output(uint64_t output, std::vector<StreamEvent>& out);
  void item_added(JsonView event, std::vector<StreamEvent>& out);
  void item_done(JsonView event, std::vector<StreamEvent>& out);
  void finished(JsonView response, StopReason reason, std::vector<StreamEvent>& out);

  std::map<Key, Block> open_;
  std::map<uint64_t, size_t> thinking_;  ///< first thinking block of an output item
  size_t next_block_ = 0;
  bool called_ = false, refused_ = false, started_ = false;
};

std::unique_ptr<Scheme> make_openai_responses_scheme();

}  // namespace insomnia::llm
