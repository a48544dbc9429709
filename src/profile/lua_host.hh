#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hh"

/// What every process has in common that runs somebody's Lua (`insomnia lua …`): limits that no script can
/// lift, and JSON lines over one inherited socket. The side that started it limits the real time, by killing
/// it.
namespace insomnia::profile {

struct LuaLimits {
  uint64_t cpu_seconds = 60;  ///< of the whole process; SIGXCPU ends it
  uint64_t open_files = 16;
};

/// Puts this process under the limits: CPU time, few descriptors, no core file, no new privileges, death with
/// the thread that started it, and no system calls but those for memory and for descriptors that are open (others fail with EPERM).
/// Call before any script is read; it cannot be undone.
Result<void> enter_lua_host(LuaLimits const& limits = {});

/// Blocking lines over a socket that it does not own.
class LineChannel {
 public:
  /// `limit`: the longest line that is read, in bytes.
  explicit LineChannel(int fd, size_t limit = 64u << 20) : fd_(fd), limit_(limit) {}

  /// The next line without its newline; nothing when the other side has closed.
  Result<std::optional<std::string>> next();
  /// Sends `line` and a newline.
  Result<void> send(std::string_view line);
  /// Waits `delay_ms`. False: the other side closed meanwhile.
  bool pause(int64_t delay_ms);

 private:
  int fd_;
  size_t limit_;
  std::string buffer_;
};

}  // namespace insomnia::profile
