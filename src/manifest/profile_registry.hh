#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hh"

namespace insomnia::manifest {

/// A file profiles.toml: which profiles there are, and which of them is the default (doc/profiles.md).
struct ProfileRegistry {
  struct Entry {
    std::string path;  ///< as written
    std::string description;
    friend bool operator==(Entry const&, Entry const&) = default;
  };
  std::optional<std::string> default_selector;
  std::map<std::string, Entry> profiles;  ///< by name
  friend bool operator==(ProfileRegistry const&, ProfileRegistry const&) = default;
};

/// Errors have file, line, column and the path of the key.
Result<ProfileRegistry> parse_profile_registry(std::string_view text, std::string const& file_name);

/// Whether a profile can have this name: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot. (Everything else is a path or a source in a selector.)
bool is_profile_name(std::string_view name);

}  // namespace insomnia::manifest
