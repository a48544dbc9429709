#include "tools/refused_paths.hh"

#include <algorithm>
#include <utility>

#include "base/io.hh"
#include "base/text.hh"

namespace insomnia::tools {
namespace {

constexpr size_t kLooked = 16384;
constexpr size_t kMost = 3;

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : static_cast<char>(c); });
  return result;
}

/// What stands between quotes of any of the usual kinds.
std::vector<std::string> quoted(std::string_view line) {
  struct Quotes {
    std::string_view open, close;
  };
  std::vector<std::string> result;
  for (auto const& [open, close] : {Quotes{"\u2018", "\u2019"}, Quotes{"'", "'"}, Quotes{"\"", "\""}, Quotes{"`", "'"}}) {
    for (size_t at = line.find(open); at != std::string_view::npos; at = line.find(open, at)) {
      size_t begin = at + open.size();
      size_t end = line.find(close, begin);
      if (end == std::string_view::npos) break;
      result.emplace_back(line.substr(begin, end - begin));
      at = end + close.size();
    }
    if (!result.empty()) break;
  }
  return result;
}

/// "bash: line 1: /w/f: Read-only file system": the part before the complaint.
std::string before_complaint(std::string_view line, size_t complaint) {
  line = line.substr(0, complaint);
  if (!line.ends_with(": ")) return "";
  line.remove_suffix(2);
  auto colon = line.rfind(": ");
  return std::string(colon == std::string_view::npos ? line : line.substr(colon + 2));
}

void add(std::vector<std::string>& list, std::string path, std::string const& cwd) {
  bool looks_like_one = !path.empty() && path.size() < 4096 && (path.starts_with('/') || path.find_first_of(" \t(") == std::string::npos);
  if (!looks_like_one || list.size() >= kMost) return;
  path = io::absolute(path, cwd);
  if (std::find(list.begin(), list.end(), path) == list.end()) list.push_back(std::move(path));
}

}  // namespace

RefusedPaths refused_paths(std::string_view output, std::string const& cwd) {
  RefusedPaths result;
  if (output.size() > kLooked) output = output.substr(output.size() - kLooked);
  for (auto line : text::split(output, '\n')) {
    std::string small = lower(line);
    size_t complaint = std::string::npos;
    std::vector<std::string>* list = nullptr;
    for (auto const& [words, kind] : {std::pair{"read-only file system", &result.read_only}, {"no such file or directory", &result.missing}, {"permission denied", &result.denied}}) {
      complaint = small.find(words);
      list = kind;
      if (complaint != std::string::npos) break;
    }
    if (complaint == std::string::npos) continue;
    auto paths = quoted(line);
    if (paths.empty()) paths.push_back(before_complaint(line, complaint));
    for (auto& path : paths) add(*list, std::move(path), cwd);
  }
  return result;
}

}  // namespace insomnia::tools
