#pragma once

#include <string_view>

/// Diagnostics of a process, one line each on stderr (a Pod's stderr is its stderr.log). Never secrets, never file contents.
namespace insomnia::log {

void info(std::string_view message);
void warn(std::string_view message);

}  // namespace insomnia::log
