#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "tools/context.hh"
#include "tools/ignore_rules.hh"
#include "tools/scoped_path.hh"

namespace insomnia::tools {

struct WalkOptions {
  /// Where to start, below the root; "" is the root itself. Naming a directory that is ignored turns ignoring off.
  std::string start;
  /// This one path is shown even if it is ignored.
  std::string exempt;
  bool hidden = true;  ///< also names that start with a dot (.git directories never, unless `start` leads into one)
  /// Further names to leave out, with all below them.
  std::function<bool(std::string_view relative, bool directory)> skip;
};

struct WalkEntry {
  std::string path;
  std::string_view relative;  ///< below the root
};

/// Goes through the regular files below a directory that the scope lets the Pod read, in the byte order of their paths. Follows
/// no symbolic link, stays within the context's search limits, honours .gitignore and .ignore (also those of the directories
/// above, up to the repository's root, and .git/info/exclude).
class TreeWalk {
 public:
  /// `root` is canonical and readable.
  TreeWalk(Call& call, std::string root, WalkOptions options);

  /// Calls `visit` for each file until it gives false. Errors: cancelled.
  Result<void> run(std::function<bool(WalkEntry const&)> const& visit);

  /// Why the walk ended before all was seen; empty when it did not.
  std::string const& stopped() const { return stopped_; }

 private:
  struct Name {
    std::string text;  ///< a directory's has a slash at its end while it waits: so it sorts where the paths below it do
    bool directory = false;
  };
  struct Level {
    std::string path;      ///< of the directory
    std::vector<Name> names;
    size_t next = 0;
    size_t rules = 0;      ///< how many rule files there were above it
  };
  struct RuleFile {
    std::string directory;
    IgnoreRules rules;
  };

  bool enter(std::string const& directory);
  bool enter_start();
  void load_rules(std::string const& directory);
  void load_parent_rules();
  void add_rule_file(std::string const& directory, std::string const& file);
  bool ignored(std::string const& path, bool directory) const;
  bool wanted(std::string const& path, Name const& name) const;
  bool may_hold_readable(std::string const& directory) const;
  bool within_limits();

  Call& call_;
  std::shared_ptr<scope::Scope const> scope_;
  std::string root_;
  WalkOptions options_;
  bool ignoring_ = true;
  std::vector<RuleFile> rules_;
  std::vector<Level> levels_;
  int64_t deadline_ms_ = 0;
  uint64_t seen_ = 0;
  std::string stopped_;
};

/// The directory that Glob or Grep is to search: the given path, or the working directory.
Result<Target> locate_base(Call& call, std::string_view tool, std::string const& path);

}  // namespace insomnia::tools
