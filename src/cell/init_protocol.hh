#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.hh"
#include "cell/holders.hh"
#include "cell/isolation.hh"
#include "cell/limits.hh"
#include "cell/mount_plan.hh"
#include "scope/rule.hh"

/// The brain and the first process of its cell talk over one inherited SOCK_STREAM socket, JSON lines both ways. Format: doc/cell.md.
namespace insomnia::cell {

// Brain to cell.

/// First message, once.
struct CellStart {
  Isolation isolation = Isolation::Cell;           ///< or Landlock
  scope::ScopeConfig scope;                        ///< effective, canonical
  std::string own_files;                           ///< the Pod's spill directory: read-only in the view, written by the hands
  std::vector<std::string> masked;                 ///< insomnia's own directories
  std::vector<std::string> readable;               ///< sandbox.read
  std::vector<PrivateDirectory> privates;          ///< under Landlock alone commands write at their sources
  std::map<std::string, std::string> environment;  ///< of commands: tells HOME and PATH
  bool network = true;
  Limits limits;
  friend bool operator==(CellStart const&, CellStart const&) = default;
};
/// The view is to follow a new scope. What is taken from the cell may be held by nobody; `kill`: who holds it is killed.
struct ChangeScope {
  uint64_t id = 0;
  scope::ScopeConfig scope;
  bool kill = false;
  friend bool operator==(ChangeScope const&, ChangeScope const&) = default;
};
/// A command of `insomnia exec` (exec_protocol.hh). With the line come four descriptors: the session with its client, and the command's standard input, output and error.
struct RunExec {
  std::string cwd;                                 ///< where it runs unless its client says otherwise
  std::map<std::string, std::string> environment;  ///< of the Pod's commands
  friend bool operator==(RunExec const&, RunExec const&) = default;
};
inline constexpr size_t kExecDescriptors = 4;
using CellCommand = std::variant<CellStart, ChangeScope, RunExec>;

// Cell to brain.

/// The answer to CellStart: the hands run, or why there is no cell.
struct CellBuilt {
  std::optional<std::string> error;
  friend bool operator==(CellBuilt const&, CellBuilt const&) = default;
};
struct ScopeChanged {
  uint64_t id = 0;
  std::vector<Holder> killed;
  friend bool operator==(ScopeChanged const&, ScopeChanged const&) = default;
};
/// Nothing has changed: somebody holds what was to be taken (`holders`), or it could not be found out.
struct ScopeRefused {
  uint64_t id = 0;
  std::string message;
  std::vector<Holder> holders;
  friend bool operator==(ScopeRefused const&, ScopeRefused const&) = default;
};
/// Something happened that people should know.
struct CellNotice {
  std::string message;
  friend bool operator==(CellNotice const&, CellNotice const&) = default;
};
using CellEvent = std::variant<CellBuilt, ScopeChanged, ScopeRefused, CellNotice>;

std::string encode_cell_command(CellCommand const& command);
Result<CellCommand> decode_cell_command(std::string_view line);
std::string encode_cell_event(CellEvent const& event);
Result<CellEvent> decode_cell_event(std::string_view line);

}  // namespace insomnia::cell
