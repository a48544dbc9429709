#pragma once

#include <string_view>

namespace insomnia::cli {

/// "0.1.0".
std::string_view version();

/// Options of `insomnia version`.
struct VersionOptions {
  bool json = false;
  friend bool operator==(VersionOptions const&, VersionOptions const&) = default;
};

int print_version(VersionOptions const& options);

}  // namespace insomnia::cli
