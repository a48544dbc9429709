#include "cell/mount_table.hh"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/io.hh"
#include "base/text.hh"
#include "base/unique_fd.hh"

namespace insomnia::cell {
namespace {

/// Blanks, tabs, newlines and backslashes stand as \ and three octal digits.
std::string unescape(std::string_view field) {
  std::string result;
  for (size_t i = 0; i < field.size(); ++i) {
    int value = 0;
    if (field[i] == '\\' && i + 3 < field.size() && std::from_chars(&field[i + 1], &field[i + 4], value, 8).ptr == &field[i + 4]) {
      result += static_cast<char>(value);
      i += 3;
    } else {
      result += field[i];
    }
  }
  return result;
}

}  // namespace

MountTable parse_mount_table(std::string_view text) {
  MountTable table;
  for (auto line : text::split(text, '\n')) {
    auto fields = text::split(line, ' ');
    uint64_t number = 0;
    if (fields.size() < 7 || std::from_chars(fields[0].data(), fields[0].data() + fields[0].size(), number).ec != std::errc()) continue;
    bool read_only = fields[5] == "ro" || fields[5].starts_with("ro,");
    // After the optional fields comes a dash, then the type.
    auto dash = std::find(fields.begin() + 6, fields.end(), "-");
    std::string type = dash != fields.end() && dash + 1 != fields.end() ? std::string(*(dash + 1)) : "";
    table[number] = {unescape(fields[4]), std::move(type), read_only};
  }
  return table;
}

Result<MountTable> read_mount_table(std::string const& path) { return read_mount_table(AT_FDCWD, path); }

Result<MountTable> read_mount_table(int directory, std::string const& name) {
  UniqueFd file(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno("read " + name, errno);
  return parse_mount_table(TRY(io::read_all(file.get(), name)));
}

}  // namespace insomnia::cell
