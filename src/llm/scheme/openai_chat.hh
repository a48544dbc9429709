#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llm/scheme/json_view.hh"
#include "llm/scheme/scheme.hh"

/// OpenAI's Chat Completions, as very many other servers speak it.
namespace insomnia::llm {

/// What servers of this format do not agree on. Chosen by whose server it is.
struct ChatDialect {
  enum class Effort {
    Label,   ///< `reasoning_effort`: a label
    Object,  ///< `reasoning`: {effort or max_tokens}
  };
  std::string max_tokens = "max_tokens";  ///< name of the limit
  Effort effort = Effort::Label;
  bool asks_for_usage = true;  ///< `stream_options` is known
  bool asks_for_cost = false;  ///< `usage`: {include}
  size_t max_call_id = 40;
  bool exact_call_id = false;  ///< ids have exactly that length
  friend bool operator==(ChatDialect const&, ChatDialect const&) = default;
};
/// By provider id, or else by the host of the base_url. Pure.
ChatDialect chat_dialect(std::string_view provider_id, std::string_view base_url);

/// The JSON body of a streaming request. Pure.
std::string build_chat_body(Request const& request, ModelConfig const& model);

/// Reads the stream of one response. Reasoning comes out with `signature`: the field that its text is sent back in ("reasoning_content" or "reasoning"), or
/// with `encrypted_content`: the list `reasoning_details` as JSON, to be sent back whole.
class ChatDecoder final : public Decoder {
 public:
  std::optional<CallFailure> decode(http::SseEvent const& event, std::vector<StreamEvent>& out) override;
  void end(std::vector<StreamEvent>& out) override;

 private:
  struct Tool {
    std::optional<uint64_t> number;  ///< the server's
    size_t block = 0;
    std::string id;
    std::string name;
    std::string waiting;  ///< arguments that came before the name
    bool started = false;
    bool stopped = false;
  };
  void text(std::string_view piece, std::vector<StreamEvent>& out);
  void thinking(std::string_view piece, std::string_view field, std::vector<StreamEvent>& out);
  void details(JsonView delta);
  void tool_call(JsonView call, std::vector<StreamEvent>& out);
  Tool& tool_for(JsonView call, std::vector<StreamEvent>& out);
  void start_tool(Tool& tool, std::vector<StreamEvent>& out);
  void usage(JsonView usage, std::vector<StreamEvent>& out);
  void close_text(std::vector<StreamEvent>& out);
  void close_thinking(std::vector<StreamEvent>& out);
  void close_tool(Tool& tool, std::vector<StreamEvent>& out);
  void close_all(std::vector<StreamEvent>& out);

  /// One entry of reasoning_details that came in pieces.
  struct Detail {
    std::string type;
    std::optional<uint64_t> number;
    std::string text, summary, data;  ///< joined
    std::string rest;                 ///< the other members, as JSON of the last piece that had any
    std::string signature;
  };
  std::string details_json() const;

  bool started_ = false;
  bool finished_ = false;  ///< a finish_reason came
  bool completed_ = false;
  bool refused_ = false;
  std::string response_id_;
  size_t next_block_ = 0;
  std::optional<size_t> text_block_, thinking_block_, first_thinking_;
  std::string thought_, thought_field_;
  std::vector<Detail> details_;
  std::vector<Tool> tools_;
};

std::unique_ptr<Scheme> make_openai_chat_scheme();

}  // namespace insomnia::llm
