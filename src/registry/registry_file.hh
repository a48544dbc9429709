#pragma once

#include <memory>
#include <string>

#include "registry/database.hh"
#include "registry/registry.hh"

namespace insomnia::registry {

/// Opens the registry's file with our tables in it; makes it when it is missing, sets it aside when it is
/// damaged (at most once). Only one process at a time makes or sets aside: `<path>.lock`.
Result<std::unique_ptr<Database>> open_registry_file(std::string const& path, SqliteOptions const& options);

/// Renames the damaged file that `database` has open to `<path>.corrupt-<time>`, with a warning; nothing when
/// somebody else has done so.
Result<void> set_aside(Database& database, std::string_view why, SqliteOptions const& options);

}  // namespace insomnia::registry
