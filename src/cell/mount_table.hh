#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/error.hh"

namespace insomnia::cell {

struct TableEntry {
  std::string path;  ///< where it is mounted, as seen from the root of whoever reads the table
  std::string type;  ///< of the file system: ext4, proc
  bool read_only = false;
  friend bool operator==(TableEntry const&, TableEntry const&) = default;
};

/// Mounts by their numbers.
using MountTable = std::map<uint64_t, TableEntry>;

/// Pure: the text of a mountinfo file (proc_pid_mountinfo(5)). Lines that can't be understood are left out.
MountTable parse_mount_table(std::string_view text);

Result<MountTable> read_mount_table(std::string const& path);
/// The same of a file below a directory.
Result<MountTable> read_mount_table(int directory, std::string const& name);

}  // namespace insomnia::cell
