#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.hh"

/// What a rehearsal script answers, and the stream that it becomes. Pure. Format: doc/rehearsal.md.
namespace insomnia::profile {

struct TextPart {
  std::string text;
  friend bool operator==(TextPart const&, TextPart const&) = default;
};
struct ThinkingPart {
  std::string text;
  friend bool operator==(ThinkingPart const&, ThinkingPart const&) = default;
};
/// `arguments` is the JSON text of an object.
struct ToolPart {
  std::string name;
  std::string arguments;
  friend bool operator==(ToolPart const&, ToolPart const&) = default;
};
/// The call fails here; nothing after it is sent.
struct FailPart {
  std::string message;
  std::optional<int64_t> status;
  std::string api_code;
  std::optional<int64_t> retry_after_ms;
  bool retryable = false;
  friend bool operator==(FailPart const&, FailPart const&) = default;
};
/// How the parts after it are streamed. chunk_bytes 0: at most about 64 pieces for each part.
struct PacePart {
  uint64_t chunk_bytes = 0;
  uint64_t delay_ms = 0;
  friend bool operator==(PacePart const&, PacePart const&) = default;
};
/// The stream breaks off here, as if the connection were lost without an error.
struct CutPart {
  friend bool operator==(CutPart const&, CutPart const&) = default;
};
/// The stop reason, in place of the one that follows from the parts.
struct StopPart {
  std::string reason;
  friend bool operator==(StopPart const&, StopPart const&) = default;
};
using ReplyPart = std::variant<TextPart, ThinkingPart, ToolPart, FailPart, PacePart, CutPart, StopPart>;

/// Takes a script's reply: a string, one part, or lists of these nested in any way. Errors name the part and
/// the key.
Result<std::vector<ReplyPart>> decode_reply(boost::json::value const& reply);

/// One line of the host's answer, to be sent after a pause.
struct PacedLine {
  int64_t delay_ms = 0;
  std::string text;
  friend bool operator==(PacedLine const&, PacedLine const&) = default;
};

/// What the stream needs to know of the call.
struct CallInfo {
  std::string id;
  std::string model;
  uint64_t input_bytes = 0;  ///< size of the whole prompt; usage counts four bytes as one token
};

/// The stream of a reply, up to and with its closing line (`end` or `error`).
std::vector<PacedLine> render_reply(std::vector<ReplyPart> const& reply, CallInfo const& call);

/// The one closing line of a call that failed before it had a reply.
PacedLine render_failure(std::string const& message);

}  // namespace insomnia::profile
