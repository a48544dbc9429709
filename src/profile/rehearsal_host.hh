#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "profile/rehearsal_reply.hh"

namespace insomnia::profile {

/// A script as the brain sends it. `name` stands before line numbers in error texts.
struct RehearsalScript {
  std::string name;
  std::string source;
};

/// One model call: gives the script the conversation in `request_json` (the object of a `request` line) and
/// returns the stream of its reply. Each call has an interpreter of its own, so that a script remembers
/// nothing but the conversation. Errors of the script are part of the stream.
std::vector<PacedLine> rehearse_call(RehearsalScript const& script, std::string_view request_json);

/// Answers calls on `socket_fd` until the other side closes. The exit code: 0, or 1 when the other side
/// breaks the protocol.
int serve_rehearsal(int socket_fd);

/// The process of the hidden subcommand `insomnia lua rehearsal`: limits itself, then serves.
int rehearsal_main(int socket_fd);

}  // namespace insomnia::profile
