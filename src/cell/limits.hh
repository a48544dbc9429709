#pragma once

#include <cstdint>
#include <optional>

#include "base/error.hh"

namespace insomnia::cell {

/// What the processes of a cell may use. Absent: no limit of ours.
struct Limits {
  std::optional<uint64_t> processes;     ///< all together, threads count
  std::optional<uint64_t> open_files;    ///< of each
  std::optional<uint64_t> cpu_secs;      ///< of each
  std::optional<uint64_t> file_bytes;    ///< of each file that one writes
  std::optional<uint64_t> memory_bytes;  ///< all together; only where a control group can be had
  friend bool operator==(Limits const&, Limits const&) = default;
};

/// Limits the processes of the caller's pid namespace, of which it is the first one. False when the kernel can't (before Linux 6.14), or not so
/// few (300 is the least).
bool limit_processes_of_namespace(uint64_t processes);

/// Puts those in force that the kernel knows per process, for the caller and all that it starts.
Result<void> apply_process_limits(Limits const& limits);

}  // namespace insomnia::cell
