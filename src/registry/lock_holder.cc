#include <sys/stat.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/io.hh"
#include "base/text.hh"
#include "registry/database.hh"

namespace insomnia::registry {
namespace {

// SQLite's file format: in the -shm file this byte is locked by the one writer.
constexpr uint64_t kWalWriteByte = 120;

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> result;
  for (auto word : text::split(line, ' ')) {
    if (!word.empty()) result.push_back(word);
  }
  return result;
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "7: POSIX  ADVISORY  WRITE 4711 fe:00:12345 120 120"
std::optional<uint64_t> writer_of(std::string_view line, ino_t inode) {
  auto fields = words(line);
  if (fields.size() != 8 || fields[1] != "POSIX" || fields[3] != "WRITE") return std::nullopt;
  if (!fields[5].ends_with(":" + std::to_string(inode))) return std::nullopt;
  auto first = number(fields[6]);
  auto last = fields[7] == "EOF" ? std::optional<uint64_t>(UINT64_MAX) : number(fields[7]);
  if (!first || !last || *first > kWalWriteByte || *last < kWalWriteByte) return std::nullopt;
  return number(fields[4]);
}

}  // namespace

std::optional<pid_t> write_lock_holder(std::string const& database_path) {
  // The kernel's table is read because opening and closing the file here would drop SQLite's own locks on it.
  struct stat info{};
  if (::stat((database_path + "-shm").c_str(), &info) != 0) return std::nullopt;
  auto table = io::read_file("/proc/locks", 4 << 20);
  if (!table) return std::nullopt;
  for (auto line : text::split(*table, '\n')) {
    auto pid = writer_of(line, info.st_ino);
    if (pid && *pid != 0) return static_cast<pid_t>(*pid);
  }
  return std::nullopt;
}

}  // namespace insomnia::registry
