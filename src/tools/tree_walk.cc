#include "tools/tree_walk.hh"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.hh"
#include "base/io.hh"
#include "base/text.hh"

namespace insomnia::tools {
namespace {

constexpr size_t kMaxRuleFile = 1 << 20;

std::string join(std::string const& directory, std::string_view name) {
  return (directory == "/" ? "/" : directory + "/") + std::string(name);
}

/// REQUIRES: `path` lies below `directory`.
std::string_view below(std::string_view path, std::string_view directory) {
  return path.substr(directory == "/" ? 1 : directory.size() + 1);
}

bool exists_at(std::string const& path) {
  struct stat info{};
  return ::lstat(path.c_str(), &info) == 0;
}

}  // namespace

TreeWalk::TreeWalk(Call& call, std::string root, WalkOptions options)
    : call_(call), scope_(call.context.gate.scope()), root_(std::move(root)), options_(std::move(options)) {}

Result<void> TreeWalk::run(std::function<bool(WalkEntry const&)> const& visit) {
  deadline_ms_ = SystemClock().steady_ms() + call_.context.search.max_ms;
  load_parent_rules();
  if (!enter_start()) return {};
  while (!levels_.empty()) {
    TRY(call_.control.check());
    Level& level = levels_.back();
    if (level.next == level.names.size()) {
      rules_.resize(level.rules);
      levels_.pop_back();
      continue;
    }
    if (!within_limits()) return {};
    Name name = std::move(level.names[level.next++]);
    if (name.directory) name.text.pop_back();
    std::string path = join(level.path, name.text);
    if (!wanted(path, name)) continue;
    if (name.directory) {
      enter(path);
    } else if (scope_->decide_resolved(path).permission && !visit({path, below(path, root_)})) {
      return {};
    }
  }
  return {};
}

bool TreeWalk::within_limits() {
  ++seen_;
  if (seen_ > call_.context.search.max_entries) {
    stopped_ = "the search stopped after " + std::to_string(call_.context.search.max_entries) + " names";
  } else if (seen_ % 256 == 0 && SystemClock().steady_ms() > deadline_ms_) {
    stopped_ = "the search stopped after " + std::to_string(call_.context.search.max_ms / 1000) + " s";
  }
  return stopped_.empty();
}

/// Puts the names of a directory on the stack. One that cannot be read is empty.
bool TreeWalk::enter(std::string const& directory) {
  auto fd = open_resolved(directory, O_RDONLY | O_DIRECTORY);
  if (!fd) return false;
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd->get()), &::closedir);
  if (!stream) return false;
  fd->release();
  Level level{directory, {}, 0, rules_.size()};
  while (dirent* entry = ::readdir(stream.get())) {
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    unsigned char type = entry->d_type;
    if (type == DT_UNKNOWN) {
      struct stat info{};
      if (::fstatat(::dirfd(stream.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      type = S_ISDIR(info.st_mode) ? DT_DIR : S_ISREG(info.st_mode) ? DT_REG : DT_LNK;
    }
    if (type != DT_DIR && type != DT_REG) continue;
    level.names.push_back({std::string(name) + (type == DT_DIR ? "/" : ""), type == DT_DIR});
    if (level.names.size() > call_.context.search.max_entries) break;
  }
  std::sort(level.names.begin(), level.names.end(), [](Name const& a, Name const& b) { return a.text < b.text; });
  load_rules(directory);
  levels_.push_back(std::move(level));
  return true;
}

/// Goes down to the start, with the rules of the directories on the way.
bool TreeWalk::enter_start() {
  std::string directory = root_;
  if (!options_.start.empty()) {
    for (auto part : text::split(options_.start, '/')) {
      load_rules(directory);
      directory = join(directory, part);
      if (ignored(directory, true)) ignoring_ = false;
    }
  }
  size_t rules_above = rules_.size();
  if (!enter(directory)) return false;
  levels_.back().rules = rules_above;
  return true;
}

void TreeWalk::add_rule_file(std::string const& directory, std::string const& file) {
  if (!scope_->decide_resolved(file).permission) return;
  auto fd = open_resolved(file, O_RDONLY);
  struct stat info{};
  if (!fd || ::fstat(fd->get(), &info) != 0 || !S_ISREG(info.st_mode)) return;
  auto content = io::read_all(fd->get(), file, kMaxRuleFile);
  if (!content) return;
  auto rules = IgnoreRules::parse(*content);
  if (!rules.empty()) rules_.push_back({directory, std::move(rules)});
}

/// Later ones win: .ignore over .gitignore, deeper directories over the ones above.
void TreeWalk::load_rules(std::string const& directory) {
  if (!ignoring_) return;
  if (exists_at(join(directory, ".git"))) add_rule_file(directory, join(directory, ".git/info/exclude"));
  add_rule_file(directory, join(directory, ".gitignore"));
  add_rule_file(directory, join(directory, ".ignore"));
}

void TreeWalk::load_parent_rules() {
  std::vector<std::string> above;
  std::string directory = root_;
  while (!exists_at(join(directory, ".git"))) {
    if (directory == "/") return;  // no repository: what lies above does not count
    directory = io::parent_path(directory);
    above.push_back(directory);
  }
  for (auto parent = above.rbegin(); parent != above.rend(); ++parent) load_rules(*parent);
}

bool TreeWalk::ignored(std::string const& path, bool directory) const {
  if (!ignoring_) return false;
  for (auto file = rules_.rbegin(); file != rules_.rend(); ++file) {
    if (auto decided = file->rules.decide(below(path, file->directory), directory)) return *decided;
  }
  return false;
}

bool TreeWalk::wanted(std::string const& path, Name const& name) const {
  std::string_view relative = below(path, root_);
  if (name.directory && name.text == ".git") return false;
  if (!options_.hidden && name.text.starts_with('.')) return false;
  if (options_.skip && options_.skip(relative, name.directory)) return false;
  if (relative != options_.exempt && ignored(path, name.directory)) return false;
  return !name.directory || may_hold_readable(path);
}

/// Saves the way into directories where the scope hides everything.
bool TreeWalk::may_hold_readable(std::string const& directory) const {
  auto decision = scope_->decide_resolved(directory);
  if (decision.permission) return true;
  if (decision.denied_by) {
    return !(decision.denied_by->recursive && decision.denied_by->permission == scope::Permission::Read);
  }
  auto const& allow = scope_->allow_rules();
  return std::any_of(allow.begin(), allow.end(), [&](auto const& rule) { return scope::is_below(rule.target, directory); });
}

Result<Target> locate_base(Call& call, std::string_view tool, std::string const& path) {
  Target target = TRY(locate(*call.context.gate.scope(), path.empty() ? call.context.cwd : path, scope::Permission::Read));
  std::string trimmed = target.given;
  while (trimmed.size() > 1 && trimmed.ends_with('/')) trimmed.pop_back();
  struct stat info{};
  if (::lstat(trimmed.c_str(), &info) != 0) {
    if (errno == ENOENT) return fail(Code::NotFound, "path does not exist: " + target.given);
    return fail_errno("look at " + target.given, errno);
  }
  bool to_directory = S_ISLNK(info.st_mode) && ::stat(trimmed.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  if (to_directory) {
    return fail(Code::InvalidArgument, std::string(tool) + " does not follow symlink directories: " + target.given + " -> " + target.resolved +
                                           "; give the path that it leads to");
  }
  return target;
}

}  // namespace insomnia::tools
