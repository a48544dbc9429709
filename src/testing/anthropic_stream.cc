#include "testing/anthropic_stream.hh"

#include <algorithm>

#include "base/text.hh"
#include "wire/json_writer.hh"

namespace insomnia::testing {

namespace {

std::string quoted(std::string_view text) {
  std::string out;
  wire::append_json_string(out, text);
  return out;
}

std::string sse(std::string_view name, std::string_view data) {
  return "event: " + std::string(name) + "\ndata: " + std::string(data) + "\n\n";
}

}  // namespace

AnthropicStream& AnthropicStream::block(std::string_view start, std::vector<std::string> const& deltas) {
  std::string index = "\"index\":" + std::to_string(next_index_++);
  event("content_block_start",
        R"({"type":"content_block_start",)" + index + ",\"content_block\":" + std::string(start) + "}");
  for (auto const& delta : deltas) {
    event("content_block_delta", R"({"type":"content_block_delta",)" + index + ",\"delta\":" + delta + "}");
  }
  return event("content_block_stop", R"({"type":"content_block_stop",)" + index + "}");
}

AnthropicStream& AnthropicStream::text(std::string_view text) { return text_pieces({text}); }

AnthropicStream& AnthropicStream::text_pieces(std::initializer_list<std::string_view> pieces) {
  std::vector<std::string> deltas;
  for (auto piece : pieces) deltas.push_back(R"({"type":"text_delta","text":)" + quoted(piece) + "}");
  return block(R"({"type":"text","text":""})", deltas);
}

AnthropicStream& AnthropicStream::thinking(std::string_view text, std::string_view signature) {
  return block(R"({"type":"thinking","thinking":"","signature":""})",
               {R"({"type":"thinking_delta","thinking":)" + quoted(text) + "}",
                R"({"type":"signature_delta","signature":)" + quoted(signature) + "}"});
}

AnthropicStream& AnthropicStream::redacted_thinking(std::string_view data) {
  return block(R"({"type":"redacted_thinking","data":)" + quoted(data) + "}", {});
}

AnthropicStream& AnthropicStream::tool(std::string_view id, std::string_view name, std::string_view arguments) {
  has_tool_ = true;
  std::vector<std::string> deltas;
  size_t half = text::prefix(arguments, arguments.size() / 2).size();
  for (auto piece : {arguments.substr(0, half), arguments.substr(half)}) {
    deltas.push_back(R"({"type":"input_json_delta","partial_json":)" + quoted(piece) + "}");
  }
  return block(R"({"type":"tool_use","id":)" + quoted(id) + ",\"name\":" + quoted(name) + ",\"input\":{}}", deltas);
}

AnthropicStream& AnthropicStream::ping() { return event("ping", R"({"type":"ping"})"); }

AnthropicStream& AnthropicStream::event(std::string_view name, std::string_view data) {
  events_ += sse(name, data);
  return *this;
}

AnthropicStream& AnthropicStream::error(std::string_view type, std::string_view message) {
  return event("error",
               R"({"type":"error","error":{"type":)" + quoted(type) + ",\"message\":" + quoted(message) + "}}");
}

AnthropicStream& AnthropicStream::usage(uint64_t input, uint64_t output, uint64_t cache_read, uint64_t cache_creation) {
  input_ = input;
  output_ = output;
  cache_read_ = cache_read;
  cache_creation_ = cache_creation;
  return *this;
}

AnthropicStream& AnthropicStream::stop_reason(std::string reason) {
  stop_reason_ = std::move(reason);
  return *this;
}

std::string AnthropicStream::without_end() const {
  return sse("message_start",
             R"({"type":"message_start","message":{"id":"msg_fake","type":"message","role":"assistant","model":"fake-model",)"
             R"("content":[],"stop_reason":null,"usage":{"input_tokens":)" +
                 std::to_string(input_) + ",\"cache_creation_input_tokens\":" + std::to_string(cache_creation_) +
                 ",\"cache_read_input_tokens\":" + std::to_string(cache_read_) + ",\"output_tokens\":1}}}") +
         events_;
}

std::string AnthropicStream::whole() const {
  std::string reason = !stop_reason_.empty() ? stop_reason_ : has_tool_ ? "tool_use" : "end_turn";
  return without_end() +
         sse("message_delta", R"({"type":"message_delta","delta":{"stop_reason":)" + quoted(reason) +
                                  R"(,"stop_sequence":null},"usage":{"output_tokens":)" + std::to_string(output_) + "}}") +
         sse("message_stop", R"({"type":"message_stop"})");
}

Reply stream_reply(std::string_view stream, size_t piece_size) {
  Reply reply{.status = 200, .headers = {{"Content-Type", "text/event-stream; charset=utf-8"}}, .pieces = {}};
  if (piece_size == 0) piece_size = std::max<size_t>(1, stream.size());
  for (; !stream.empty(); stream.remove_prefix(std::min(piece_size, stream.size()))) {
    reply.pieces.push_back(Piece::bytes(std::string(stream.substr(0, piece_size))));
  }
  return reply;
}

Reply text_reply(std::string_view text) { return stream_reply(AnthropicStream().text(text).whole()); }

Reply tool_reply(std::vector<ScriptedCall> const& calls, std::string_view text) {
  AnthropicStream stream;
  if (!text.empty()) stream.text(text);
  for (auto const& call : calls) stream.tool(call.id, call.name, call.arguments);
  return stream_reply(stream.whole());
}

Reply error_reply(int status, std::string_view type, std::string_view message, std::optional<std::string> retry_after) {
  Reply reply{.status = status, .headers = {{"Content-Type", "application/json"}}, .pieces = {}};
  if (retry_after) reply.headers.emplace_back("Retry-After", *retry_after);
  reply.pieces.push_back(Piece::bytes(R"({"type":"error","error":{"type":)" + quoted(type) +
                                      ",\"message\":" + quoted(message) + "}}"));
  return reply;
}

}  // namespace insomnia::testing
