#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tools/bash_output.hh"
#include "tools/call_control.hh"
#include "tools/hands_protocol.hh"
#include "tools/process_table.hh"
#include "tools/scope_gate.hh"
#include "tools/spill.hh"
#include "tools/tool.hh"
#include "tools/tracker.hh"

namespace insomnia::tools {

/// How much a search may cost.
struct SearchLimits {
  int64_t max_ms = 30'000;
  uint64_t max_entries = 5'000'000;  ///< names looked at
};

/// What the tools of one Pod share: everything that HandsStart says, and the state that grows from it. Any number of calls use
/// it at the same time. The destructor kills every process that a command left behind and removes the kept outputs.
struct ToolContext {
  explicit ToolContext(HandsStart const& start, HandsDescriptors given = {}, CommandGuard command_guard = nullptr);

  std::string cwd;
  std::map<std::string, std::string> environment;
  uint64_t read_bytes;
  SearchLimits search;
  /// How long a command's processes are awaited when its shell has ended: those of a process substitution, say, end right after it.
  int64_t late_output_ms = 100;
  ScopeGate gate;
  Tracker tracker;
  std::map<std::string, UniqueFd> const directories;  ///< see HandsDescriptors
  CommandGuard const guard;                           ///< null: none is needed
  // In this order: processes end before their outputs are closed, and those before the files are removed.
  SpillStore spill;
  BackgroundOutputs background;
  ProcessTable processes;
};

/// One call under way.
struct Call {
  ToolContext& context;
  CallControl& control;
  std::vector<Observed> observed;  ///< files that it read or wrote
};

/// Runs one of the tools of the hands; never throws, and an unknown name is an error result.
Output run_tool(Call& call, std::string_view tool, std::string_view arguments_json);

}  // namespace insomnia::tools
