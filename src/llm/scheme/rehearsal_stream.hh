#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "llm/provider.hh"

/// The lines between a provider and the process of its rehearsal script. Pure. Format: doc/rehearsal.md,
/// "Protocol".
namespace insomnia::llm {

struct RehearsalCallInfo {
  std::string id;
  std::string model;
  uint64_t call_index = 0;  ///< from 1, per provider
  uint64_t attempt = 1;     ///< from 1: calls in a row with as many items
};

/// One request, without a newline.
std::string encode_rehearsal_request(Request const& request, RehearsalCallInfo const& info);

/// The stream ended without a failure.
struct RehearsalEnd {
  friend bool operator==(RehearsalEnd const&, RehearsalEnd const&) = default;
};
using RehearsalMessage = std::variant<StreamEvent, CallFailure, RehearsalEnd>;

/// One line of the answer.
Result<RehearsalMessage> decode_rehearsal_line(std::string_view line);

}  // namespace insomnia::llm
