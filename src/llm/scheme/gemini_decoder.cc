#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"
#include "llm/scheme/gemini.hh"

namespace insomnia::llm {
namespace {

StopReason stop_reason(std::string_view reason) {
  static constexpr std::string_view kFiltered[] = {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"};
  if (reason == "STOP") return StopReason::EndTurn;
  if (reason == "MAX_TOKENS") return StopReason::MaxTokens;
  if (std::find(std::begin(kFiltered), std::end(kFiltered), reason) != std::end(kFiltered)) return StopReason::ContentFilter;
  return StopReason::Other;
}

/// The model tried to call a tool and failed at the form: asked again it mostly succeeds.
bool is_slip(std::string_view reason) { return reason == "MALFORMED_FUNCTION_CALL" || reason == "UNEXPECTED_TOOL_CALL"; }

ApiError error_of(JsonView error) {
  // The name is the better word; the number is the HTTP status.
  return {.code = error.has("status") ? error.string("status") : error.json("code"), .message = std::string(text::prefix(error.text("message"), 2000))};
}

}  // namespace

std::optional<CallFailure> GeminiDecoder::decode(http::SseEvent const& event, std::vector<StreamEvent>& out) {
  std::string_view data = text::trim(event.data);
  if (data.empty() || data == "[DONE]") return std::nullopt;
  auto parsed = json::parse_object(data);
  if (!parsed) return CallFailure{.error = std::move(parsed).error().with_context("the stream's event cannot be read")};
  JsonView chunk(&*parsed);
  if (JsonView error = chunk.child("error")) return stream_failure(error_of(error));
  if (!std::exchange(started_, true)) {
    response_id_ = chunk.string("responseId");
    out.push_back(Started{response_id_, chunk.string("modelVersion")});
  }
  std::optional<StopReason> stop;
  for (auto const& candidate : chunk.children("candidates")) {
    if (candidate.number("index").value_or(0) != 0) continue;
    for (auto const& piece : candidate.child("content").children("parts")) part(piece, out);
    std::string_view reason = candidate.text("finishReason");
    if (reason.empty() || reason == "FINISH_REASON_UNSPECIFIED") continue;
    if (is_slip(reason)) {
      std::string message = "the model wrote a tool call that can't be read";
      if (candidate.has("finishMessage")) message += ": " + text::one_line(candidate.text("finishMessage"), 300);
      return CallFailure{.error = {Code::Unavailable, message}, .api_code = std::string(reason), .retryable = true};
    }
    stop = stop_reason(reason);
    if (stop == StopReason::EndTurn && calls_ > 0) stop = StopReason::ToolUse;
  }
  if (chunk.child("promptFeedback").has("blockReason")) stop = StopReason::ContentFilter;
  if (JsonView usage = chunk.child("usageMetadata")) {
    Usage counted;
    if (auto prompt = usage.number("promptTokenCount")) counted.input_tokens = *prompt + usage.number("toolUsePromptTokenCount").value_or(0);
    auto answer = usage.number("candidatesTokenCount"), thoughts = usage.number("thoughtsTokenCount");
    if (answer || thoughts) counted.output_tokens = answer.value_or(0) + thoughts.value_or(0);
    counted.cache_read_input_tokens = usage.number("cachedContentTokenCount");
    if (counted != Usage{}) out.push_back(counted);
  }
  if (stop && !std::exchange(finished_, true)) out.push_back(Stopped{*stop});
  if (!chunk.has("candidates") && !chunk.has("usageMetadata") && !chunk.has("promptFeedback")) out.push_back(Unhandled{"chunk without candidates"});
  return std::nullopt;
}

/// The format has no last event: the answer is whole when it has said why it stopped.
void GeminiDecoder::end(std::vector<StreamEvent>& out) {
  if (completed_ || !finished_) return;
  completed_ = true;
  close(out);
  if (!thought_.empty()) reasoning("", "", out);
  out.push_back(Completed{});
}

void GeminiDecoder::part(JsonView part, std::vector<StreamEvent>& out) {
  std::string_view signature = part.text("thoughtSignature");
  if (JsonView function = part.child("functionCall")) return call(function, signature, out);
  if (!part.has("text")) {
    std::string kind = "part";
    for (auto const& member : *part.object()) {
      if (member.value().is_object()) kind = "part:" + std::string(member.key());
    }
    out.push_back(Unhandled{kind});
    return;
  }
  say(part.flag("thought") ? BlockType::Thinking : BlockType::Text, part.text("text"), out);
  if (!signature.empty()) reasoning(signature, "", out);
}

void GeminiDecoder::say(BlockType type, std::string_view text, std::vector<StreamEvent>& out) {
  if (text.empty()) return;
  if (block_ && block_type_ != type) close(out);
  if (!block_) {
    block_ = next_block_++;
    block_type_ = type;
    if (type == BlockType::Thinking) thinking_block_ = block_;
    out.push_back(BlockStart{.index = *block_, .type = type});
  }
  if (type == BlockType::Thinking) thought_ += text;
  out.push_back(BlockDelta{*block_, std::string(text)});
}

void GeminiDecoder::close(std::vector<StreamEvent>& out) {
  if (block_) out.push_back(BlockStop{*block_});
  block_.reset();
}

/// A call comes whole.
void GeminiDecoder::call(JsonView call, std::string_view signature, std::vector<StreamEvent>& out) {
  close(out);
  std::string id = call.string("id");
  if (id.empty()) id = made_up_call_id(response_id_, calls_);
  ++calls_;
  if (!signature.empty()) reasoning(signature, id, out);
  size_t block = next_block_++;
  out.push_back(BlockStart{.index = block, .type = BlockType::ToolUse, .id = id, .name = call.string("name")});
  std::string arguments = call.json("args");
  if (!arguments.empty()) out.push_back(BlockDelta{block, std::move(arguments)});
  out.push_back(BlockStop{block});
}

/// Stands where it came, so before the call that it belongs to; with it, what was thought until now.
void GeminiDecoder::reasoning(std::string_view signature, std::string_view call_id, std::vector<StreamEvent>& out) {
  wire::Reasoning item;
  item.text = std::exchange(thought_, "");
  item.id = call_id;
  if (!signature.empty()) item.signature = std::string(signature);
  // A thought without a signature has its own place.
  out.push_back(ReasoningDone{std::move(item), signature.empty() ? thinking_block_ : std::nullopt});
}

}  // namespace insomnia::llm
