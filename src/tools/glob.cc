#include "tools/glob.hh"

#include <sys/stat.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "base/io.hh"
#include "base/text.hh"
#include "tools/input.hh"
#include "tools/path_pattern.hh"
#include "tools/tree_walk.hh"

namespace insomnia::tools {
namespace {

constexpr size_t kShown = 1000;

struct Found {
  int64_t seconds = 0;
  int64_t nanoseconds = 0;
  std::string path;
};

bool newer(Found const& a, Found const& b) {
  return std::tie(b.seconds, b.nanoseconds, a.path) < std::tie(a.seconds, a.nanoseconds, b.path);
}

/// The newest files of any number, in bounded memory.
class Newest {
 public:
  void add(Found found) {
    ++count_;
    files_.push_back(std::move(found));
    if (files_.size() >= 4 * kShown) cut();
  }
  uint64_t count() const { return count_; }
  std::vector<Found> const& sorted() {
    cut();
    std::sort(files_.begin(), files_.end(), newer);
    return files_;
  }

 private:
  void cut() {
    if (files_.size() <= kShown) return;
    std::nth_element(files_.begin(), files_.begin() + kShown, files_.end(), newer);
    files_.resize(kShown);
  }
  std::vector<Found> files_;
  uint64_t count_ = 0;
};

struct Search {
  std::string base;
  std::string pattern;
};

/// An absolute pattern is taken apart into the directory that it starts in and the rest.
Result<Search> normalized(GlobInput const& input) {
  Search search{input.path, ""};
  for (auto part : text::split(input.pattern, '/')) {
    if (part == "..") return fail(Code::InvalidArgument, "invalid glob pattern: " + input.pattern + ": \"..\" is not possible; set path instead");
    if (part.empty() || part == ".") continue;
    search.pattern += (search.pattern.empty() ? "" : "/") + std::string(part);
  }
  if (!input.pattern.starts_with('/')) return search;
  std::string directory = literal_directory(search.pattern);
  search.base = "/" + directory;
  if (!directory.empty()) search.pattern.erase(0, directory.size() + 1);
  return search;
}

}  // namespace

Result<GlobInput> parse_glob_input(std::string_view json) {
  return parse_input<GlobInput>("Glob", json, [](json::Reader& reader, GlobInput& input) {
    input.pattern = reader.string("pattern");
    input.path = reader.string_or("path", "");
  });
}

Result<Output> run_glob(Call& call, GlobInput const& input) {
  Search search = TRY(normalized(input));
  PathPattern pattern = TRY(PathPattern::compile(search.pattern, PatternSyntax::Glob));
  Target base = TRY(locate_base(call, "Glob", search.base));
  struct stat info{};
  if (::lstat(base.resolved.c_str(), &info) != 0) return fail_errno("look at " + base.given, errno);
  if (!S_ISDIR(info.st_mode)) return fail(Code::InvalidArgument, "path is not a directory: " + base.given);

  WalkOptions options;
  options.start = literal_directory(search.pattern);
  if (!has_wildcard(search.pattern, PatternSyntax::Glob)) options.exempt = search.pattern;
  Newest newest;
  TreeWalk walk(call, base.resolved, options);
  TRY(walk.run([&](WalkEntry const& entry) {
    struct stat file{};
    if (pattern.matches(entry.relative) && ::lstat(entry.path.c_str(), &file) == 0 && S_ISREG(file.st_mode)) {
      newest.add({file.st_mtim.tv_sec, file.st_mtim.tv_nsec, entry.path});
    }
    return true;
  }));

  std::string note = walk.stopped().empty() ? "" : "; " + walk.stopped();
  if (newest.count() == 0) return Output{"No files found matching " + input.pattern + note};
  std::string content;
  for (auto const& file : newest.sorted()) content += file.path + "\n";
  std::string more = walk.stopped().empty() ? "" : "+";
  std::string cut = newest.count() > kShown ? " (truncated to " + std::to_string(kShown) + ")" : "";
  return Output{"Found " + std::to_string(newest.count()) + more + " file(s) matching " + input.pattern + cut + note, content};
}

}  // namespace insomnia::tools
