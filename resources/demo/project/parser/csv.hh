#pragma once

#include <string>
#include <string_view>
#include <vector>

// The fields of one line of a CSV file. A field in double quotes may hold commas; a doubled quote inside stands for one.
// An empty line has one empty field.
std::vector<std::string> split_line(std::string_view line);
