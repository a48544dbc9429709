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

/// Puts those in force that the kernel knows per process, for the caller and all that it starts.
Result<void> apply_process_limits(Limits const& limits);

}  // namespace insomnia::cell
