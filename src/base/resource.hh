#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace insomnia::base {

/// A file of `resources/`, embedded in the binary. `path` is relative to that folder, e.g. "prompts/default.md".
struct Resource {
  std::string_view path;
  std::string_view content;
};

/// All embedded files, sorted by path.
std::span<Resource const> resources();

/// The content of one embedded file, or nothing.
std::optional<std::string_view> find_resource(std::string_view path);

}  // namespace insomnia::base
