#include "pod/completions.hh"

#include <sys/stat.h>

#include <algorithm>

#include "base/io.hh"
#include "base/text.hh"

namespace insomnia::pod {

std::vector<wire::CompletionEntry> complete_path(std::string const& prefix, std::string const& cwd, scope::Scope const& scope) {
  constexpr size_t kMaxEntries = 100;
  auto slash = prefix.rfind('/');
  std::string folder = slash == std::string::npos ? "" : prefix.substr(0, slash + 1);
  std::string start = slash == std::string::npos ? prefix : prefix.substr(slash + 1);
  std::string directory = io::absolute(folder, cwd);
  if (!scope.is_readable(directory)) return {};
  auto names = io::list_directory(directory);
  if (!names) return {};

  std::vector<wire::CompletionEntry> entries;
  for (auto const& name : *names) {
    if (!name.starts_with(start) || !text::is_utf8(name)) continue;
    std::string path = directory == "/" ? "/" + name : directory + "/" + name;
    struct stat info{};
    if (!scope.is_readable(path) || ::stat(path.c_str(), &info) != 0) continue;
    bool is_dir = S_ISDIR(info.st_mode);
    entries.push_back({folder + name + (is_dir ? "/" : ""), is_dir});
  }
  std::stable_sort(entries.begin(), entries.end(), [](auto const& a, auto const& b) { return a.is_dir > b.is_dir; });
  if (entries.size() > kMaxEntries) entries.resize(kMaxEntries);
  return entries;
}

}  // namespace insomnia::pod
