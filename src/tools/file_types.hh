#pragma once

#include <string>
#include <string_view>

namespace insomnia::tools {

/// Whether there is a file type of this name. Pure.
bool is_file_type(std::string_view type);
/// Whether a file of this name belongs to the type. Pure.
bool has_file_type(std::string_view name, std::string_view type);
/// All names, for an error text.
std::string file_type_names();

}  // namespace insomnia::tools
