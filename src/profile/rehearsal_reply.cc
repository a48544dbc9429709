#include "profile/rehearsal_reply.hh"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"

namespace insomnia::profile {
namespace bj = boost::json;

namespace {

constexpr uint64_t kMaxDelayMs = 600'000;
constexpr size_t kDefaultPieces = 64;
constexpr size_t kSmallestDefaultChunk = 48;

/// Without a `retryable` of its own a failure follows its status; one without a status is a lost connection.
bool retryable_status(std::optional<int64_t> status) {
  constexpr std::array kRetryable = {408, 425, 429, 500, 502, 503, 504, 529};
  return !status || std::ranges::find(kRetryable, *status) != kRetryable.end();
}

Result<ReplyPart> decode_fail(bj::object const& object) {
  json::Reader reader(object, "error");
  FailPart part{.message = reader.string_or("message", "the script failed this call"),
                .status = reader.optional_integer("status"),
                .api_code = reader.string_or("api_code", "")};
  if (part.status && (*part.status < 100 || *part.status > 599))
    reader.reject("status", "is not an HTTP status");
  if (auto wait = reader.optional_uint("retry_after_ms"))
    part.retry_after_ms = static_cast<int64_t>(std::min(*wait, kMaxDelayMs));
  part.retryable = reader.boolean_or("retryable", retryable_status(part.status));
  TRY(reader.finish_strict());
  return part;
}

Result<ReplyPart> decode_pace(bj::object const& object) {
  json::Reader reader(object, "pace");
  PacePart part{.chunk_bytes = reader.uint_or("chunk_bytes", 0), .delay_ms = reader.uint_or("delay_ms", 0)};
  if (part.delay_ms > kMaxDelayMs) reader.reject("delay_ms", "is more than ten minutes");
  TRY(reader.finish_strict());
  return part;
}

Result<ReplyPart> decode_tool(json::Reader& reader) {
  ToolPart part{.name = reader.string("tool"), .arguments = "{}"};
  if (bj::value const* arguments = reader.find("arguments")) {
    bool empty_list = arguments->is_array() && arguments->get_array().empty();
    if (arguments->is_object()) part.arguments = json::dump(*arguments);
    if (!arguments->is_object() && !empty_list)
      reader.reject("arguments", "is not a table with named fields");
  }
  TRY(reader.finish_strict());
  return part;
}

Result<ReplyPart> decode_stop(json::Reader& reader) {
  constexpr std::array<std::string_view, 7> kReasons = {
      "end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "pause_turn", "content_filter"};
  StopPart part{.reason = reader.string("stop")};
  if (reader.ok() && std::ranges::find(kReasons, part.reason) == kReasons.end()) {
    reader.reject(
        "stop",
        "is none of end_turn, tool_use, max_tokens, stop_sequence, refusal, pause_turn, content_filter");
  }
  TRY(reader.finish_strict());
  return part;
}

Result<ReplyPart> decode_part(bj::object const& object, size_t number) {
  json::Reader reader(object, "reply part " + std::to_string(number));
  Result<ReplyPart> part = ReplyPart{};
  if (reader.has("tool")) {
    part = decode_tool(reader);
  } else if (reader.has("error")) {
    bj::object const* error = reader.require_object("error");
    TRY(reader.finish_strict());
    part = decode_fail(*error);
  } else if (reader.has("pace")) {
    bj::object const* pace = reader.require_object("pace");
    TRY(reader.finish_strict());
    part = decode_pace(*pace);
  } else if (reader.has("stop")) {
    part = decode_stop(reader);
  } else if (reader.has("cut")) {
    part = CutPart{};
  } else if (reader.has("thinking")) {
    part = ThinkingPart{.text = reader.string("thinking")};
  } else if (reader.has("text")) {
    part = TextPart{.text = reader.string("text")};
  } else {
    std::string key = object.empty() ? "" : std::string(object.begin()->key());
    return fail(Code::InvalidArgument, "reply part " + std::to_string(number) +
                                           " has none of text, thinking, tool, error, pace, cut, stop" +
                                           (key.empty() ? "" : ", but `" + key + "`"));
  }
  if (part) TRY(reader.finish_strict());
  return part;
}

Result<void> collect(bj::value const& value, std::vector<ReplyPart>& out) {
  if (value.is_string()) {
    out.push_back(TextPart{.text = std::string(value.get_string())});
  } else if (value.is_array()) {
    for (bj::value const& item : value.get_array()) TRY(collect(item, out));
  } else if (value.is_object()) {
    if (!value.get_object().empty()) out.push_back(TRY(decode_part(value.get_object(), out.size() + 1)));
  } else {
    return fail(Code::InvalidArgument,
                value.is_null() ? "the script returned nothing where a reply is wanted: return say(\"…\"), "
                                  "or {} for an empty reply"
                                : "a reply is made of strings and tables, not of " + json::dump(value));
  }
  return {};
}

/// Writes the stream, line by line.
class Renderer {
 public:
  explicit Renderer(CallInfo const& call) : call_(call) {}

  /// False: the stream ends with this part.
  bool add(ReplyPart const& part) {
    return std::visit([&](auto const& it) { return add(it); }, part);
  }

  std::vector<PacedLine> finish() {
    start();
    line("usage",
         {{"input_tokens", (call_.input_bytes + 3) / 4}, {"output_tokens", (output_bytes_ + 3) / 4}});
    std::string reason = !stop_.empty() ? stop_ : tools_ > 0 ? "tool_use" : "end_turn";
    line("stopped", {{"reason", reason}});
    line("completed", {});
    line("end", {});
    return std::move(lines_);
  }

  std::vector<PacedLine> take() { return std::move(lines_); }

 private:
  bool add(TextPart const& part) {
    block({{"type", "text"}}, part.text);
    return true;
  }
  bool add(ThinkingPart const& part) {
    block({{"type", "thinking"}}, part.text);
    line("reasoning", {{"text", part.text}});
    return true;
  }
  bool add(ToolPart const& part) {
    std::string id = "call_" + call_.id + "_" + std::to_string(++tools_);
    output_bytes_ += part.name.size();
    block({{"type", "tool_use"}, {"id", id}, {"name", part.name}}, part.arguments);
    return true;
  }
  bool add(FailPart const& part) {
    bj::object error{{"message", part.message}, {"retryable", part.retryable}};
    if (part.status) error["status"] = *part.status;
    if (!part.api_code.empty()) error["api_code"] = part.api_code;
    if (part.retry_after_ms) error["retry_after_ms"] = *part.retry_after_ms;
    line("error", std::move(error));
    return false;
  }
  bool add(PacePart const& part) {
    pace_ = part;
    return true;
  }
  bool add(CutPart const&) {
    start();
    line("end", {});
    return false;
  }
  bool add(StopPart const& part) {
    stop_ = part.reason;
    return true;
  }

  void start() {
    if (std::exchange(started_, true)) return;
    line("started", {{"request_id", call_.id}, {"model", call_.model}});
  }

  void block(bj::object opening, std::string_view text) {
    start();
    size_t index = blocks_++;
    opening["index"] = index;
    line("block_start", std::move(opening));
    size_t chunk = pace_.chunk_bytes > 0 ? pace_.chunk_bytes
                                         : std::max(kSmallestDefaultChunk, text.size() / kDefaultPieces);
    output_bytes_ += text.size();
    while (!text.empty()) {
      // A chunk smaller than its first character takes that character whole.
      std::string_view piece = text::prefix(text, chunk);
      for (size_t room = chunk + 1; piece.empty(); ++room) piece = text::prefix(text, room);
      line("delta", {{"index", index}, {"text", piece}}, static_cast<int64_t>(pace_.delay_ms));
      text.remove_prefix(piece.size());
    }
    line("block_stop", {{"index", index}});
  }

  void line(std::string_view kind, bj::object body, int64_t delay_ms = 0) {
    bj::object object;
    object[kind] = std::move(body);
    lines_.push_back({.delay_ms = delay_ms, .text = json::dump(object)});
  }

  CallInfo const& call_;
  std::vector<PacedLine> lines_;
  PacePart pace_;
  std::string stop_;
  bool started_ = false;
  size_t blocks_ = 0;
  size_t tools_ = 0;
  size_t output_bytes_ = 0;
};

}  // namespace

Result<std::vector<ReplyPart>> decode_reply(bj::value const& reply) {
  std::vector<ReplyPart> parts;
  TRY(collect(reply, parts));
  return parts;
}

std::vector<PacedLine> render_reply(std::vector<ReplyPart> const& reply, CallInfo const& call) {
  Renderer renderer(call);
  for (ReplyPart const& part : reply) {
    if (!renderer.add(part)) return renderer.take();
  }
  return renderer.finish();
}

PacedLine render_failure(std::string const& message) {
  return {.text = json::dump(
              bj::object{{"error", bj::object{{"message", text::to_utf8(message)}, {"retryable", false}}}})};
}

}  // namespace insomnia::profile
