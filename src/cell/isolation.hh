#pragma once

#include <optional>
#include <string_view>

namespace insomnia::cell {

/// How strongly the kernel holds what the hands do.
enum class Isolation { None, Landlock, Cell };
/// "none", "landlock", "cell".
std::string_view isolation_name(Isolation isolation);
std::optional<Isolation> parse_isolation(std::string_view name);

}  // namespace insomnia::cell
