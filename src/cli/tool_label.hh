#pragma once

#include <string>
#include <string_view>

namespace insomnia::cli {

/// A tool call in a few words: "Read src/a.cc", "Bash make -j8", "SpawnPod fix-parser: Fix the parser". Paths
/// below `cwd` are shown relative to it. One line, safe for a terminal, not yet cut to any width. Pure.
std::string tool_label(std::string_view tool, std::string_view arguments_json, std::string_view cwd);

}  // namespace insomnia::cli
