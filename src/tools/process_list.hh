#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What /proc says of processes. A snapshot: any of them may be gone by the time it is looked at.
namespace insomnia::tools {

struct ProcessInfo {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t session = 0;
  char state = '?';  ///< as in /proc/PID/stat; Z is a process that ended and waits to be reaped
};

std::optional<ProcessInfo> read_process(pid_t pid);

/// All that /proc shows.
std::vector<pid_t> all_processes();

/// All living processes below `root`, not counting it; parents before their children.
std::vector<ProcessInfo> descendants(pid_t root);

/// The command line on one line, or its name in brackets.
std::string command_of(pid_t pid);

/// Whether the process was started with an environment that has `entry` ("NAME=value"); with `prefix`, one that starts with it.
bool has_environment(pid_t pid, std::string_view entry, bool prefix = false);

/// Kills every process of this user whose environment holds an entry INSOMNIA_CALL=<marker>.…, wherever it went, until none is
/// left. For the case that the hands died before they could do so.
void kill_marked(std::string_view marker);

}  // namespace insomnia::tools
