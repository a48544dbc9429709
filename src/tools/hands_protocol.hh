#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"
#include "scope/rule.hh"
#include "scope/scope.hh"
#include "tools/tool.hh"

/// Brain and hands talk over one inherited SOCK_STREAM socket, JSON lines both ways. Format: doc/hands.md.
namespace insomnia::tools {

/// A file as the Pod last saw it: canonical path and SHA-256 of its bytes. Write and Edit refuse when the file differs.
struct Observed {
  std::string path;
  std::string sha256;  ///< or "stat:<size>:<mtime>:<inode>" for files over 256 MiB
  bool whole = true;   ///< all of it was seen or written; Write replaces only such files
  friend bool operator==(Observed const&, Observed const&) = default;
};

// Brain to hands.

/// First message, once.
struct HandsStart {
  std::string cwd;
  std::string spill_dir;                           ///< for outputs that are too long; readable by the model
  std::map<std::string, std::string> environment;  ///< the whole environment of commands
  scope::ScopeConfig scope;                        ///< canonical
  std::vector<Observed> observed;                  ///< from the session's past
  std::vector<scope::ScopeRule> own_directories;   ///< that no other process sees: see Scope::with_own_directories
  uint64_t read_bytes = 65536;                     ///< Read stops before its content is longer than this
  /// Every command has INSOMNIA_CALL=<marker>.<n> in its environment, so that its processes are found again. cell::Hands sets it.
  std::string marker;
  friend bool operator==(HandsStart const&, HandsStart const&) = default;
};
struct ToolRequest {
  uint64_t id = 0;
  std::string tool;
  std::string arguments;  ///< JSON text
  friend bool operator==(ToolRequest const&, ToolRequest const&) = default;
};
/// The call's process group is killed; it still answers, with an error result.
struct CancelTool {
  uint64_t id = 0;
  friend bool operator==(CancelTool const&, CancelTool const&) = default;
};
/// New file-tool writes follow the new scope at once; ScopeSet comes when the writes under way that it refuses have ended.
struct SetScope {
  uint64_t id = 0;
  scope::ScopeConfig scope;
  friend bool operator==(SetScope const&, SetScope const&) = default;
};
using HandsCommand = std::variant<HandsStart, ToolRequest, CancelTool, SetScope>;

// Hands to brain.

struct HandsReady {
  friend bool operator==(HandsReady const&, HandsReady const&) = default;
};
struct ToolFinished {
  uint64_t id = 0;
  Output output;
  std::vector<Observed> observed;  ///< files that this call read or wrote
  friend bool operator==(ToolFinished const&, ToolFinished const&) = default;
};
struct ScopeSet {
  uint64_t id = 0;
  friend bool operator==(ScopeSet const&, ScopeSet const&) = default;
};
using HandsEvent = std::variant<HandsReady, ToolFinished, ScopeSet>;

std::string encode_command(HandsCommand const& command);
Result<HandsCommand> decode_command(std::string_view line);
std::string encode_hands_event(HandsEvent const& event);
Result<HandsEvent> decode_hands_event(std::string_view line);

/// Directories that the hands write, although those who see the same files can't: in a cell.
struct HandsDescriptors {
  UniqueFd spill;                               ///< of `HandsStart::spill_dir`
  std::map<std::string, UniqueFd> directories;  ///< by canonical path: those with a write rule that is not recursive
};

/// Where the hands themselves are not held to the scope: puts the calling thread, and with it the command that it starts next, under the scope for good.
using CommandGuard = std::function<Result<void>(scope::Scope const& scope)>;

/// The hands process: speaks the protocol on `socket_fd` until it is closed, then kills what still runs and returns the process's
/// exit code. Called by the hidden subcommand `insomnia hands` and by the first process of a cell.
int hands_main(int socket_fd, HandsDescriptors given = {}, CommandGuard guard = nullptr);

}  // namespace insomnia::tools
