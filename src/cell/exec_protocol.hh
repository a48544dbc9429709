#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.hh"

/// `insomnia exec` and the cell that runs its command talk over a SOCK_STREAM socket pair, of which the Pod has passed one end on to the cell: JSON lines both ways. Format: doc/cell.md.
namespace insomnia::cell {

inline constexpr size_t kMaxExecLine = 4u << 20;

// Client to cell.

/// First message, once.
struct ExecRequest {
  std::vector<std::string> argv;                   ///< not empty
  std::optional<std::string> cwd;                  ///< absolute; absent: where the Pod works
  std::map<std::string, std::string> environment;  ///< besides that of the Pod's commands
  bool terminal = false;                           ///< standard input is one, to be the command's own
  friend bool operator==(ExecRequest const&, ExecRequest const&) = default;
};
/// To the command's process group.
struct ExecSignal {
  int number = 0;
  friend bool operator==(ExecSignal const&, ExecSignal const&) = default;
};
using ExecMessage = std::variant<ExecRequest, ExecSignal>;

// Cell to client. After ExecEnded or ExecRefused nothing comes.

struct ExecStarted {
  pid_t pid = 0;  ///< in the cell
  friend bool operator==(ExecStarted const&, ExecStarted const&) = default;
};
struct ExecEnded {
  int status = 0;  ///< the exit code, 128 + N after signal N
  friend bool operator==(ExecEnded const&, ExecEnded const&) = default;
};
struct ExecRefused {
  std::string message;
  friend bool operator==(ExecRefused const&, ExecRefused const&) = default;
};
using ExecEvent = std::variant<ExecStarted, ExecEnded, ExecRefused>;

std::string encode_exec_message(ExecMessage const& message);
/// Texts are bytes as far as JSON can hold them: what is not UTF-8 is refused by the client.
Result<ExecMessage> decode_exec_message(std::string_view line);
std::string encode_exec_event(ExecEvent const& event);
Result<ExecEvent> decode_exec_event(std::string_view line);

}  // namespace insomnia::cell
