#include "cell/mount_plan.hh"

#include <algorithm>
#include <map>
#include <set>

#include "base/io.hh"
#include "base/text.hh"

namespace insomnia::cell {
namespace {

using scope::Permission;
using scope::Scope;
using scope::ScopeRule;
using Kind = MountStep::Kind;

constexpr size_t kShown = 4096;
/// No rule names it: what is allowed for it is allowed for all that a directory holds.
constexpr char kAnyName[] = "/\x01";

/// How a part of the view is seen. A directory of the view itself has no Seen.
enum class Seen { Nothing, ReadOnly, ReadWrite };

Seen seen(std::optional<Permission> const& permission) {
  if (!permission) return Seen::Nothing;
  return *permission == Permission::Write ? Seen::ReadWrite : Seen::ReadOnly;
}

std::string join(std::string const& directory, std::string_view name) { return (directory == "/" ? "/" : directory + "/") + std::string(name); }

std::string any_in(std::string const& directory) { return (directory == "/" ? "" : directory) + kAnyName; }

/// What a cell has of its own, whatever the rules say: through another /proc one would get to processes outside. In /dev/shm people may have files.
bool is_of_every_cell(std::string_view path) {
  return scope::is_below(path, "/proc") || scope::is_below(path, "/sys") || (scope::is_below(path, "/dev") && !is_strictly_below(path, "/dev/shm"));
}

class Planner {
 public:
  Planner(PlanRequest const& request, FileFacts const& facts) : request_(request), facts_(facts), scope_(with_base(request)) {}

  Result<MountPlan> run() {
    TRY(find_borders());
    for (auto const& private_directory : request_.privates) borders_.insert(private_directory.path);
    for (auto const& path : borders_) {
      if (!is_of_every_cell(path)) add(path);
    }
    pin();
    return std::move(plan_);
  }

 private:
  /// What every cell has is read like anything that a rule allows; what is masked is denied like anything else.
  static Scope with_base(PlanRequest const& request) {
    scope::ScopeConfig rules = request.scope.rules();
    auto allow = [&](std::string const& path) { rules.allow.push_back({path, Permission::Read, true}); };
    for (auto const& path : request.system) allow(path);
    for (auto const& path : request.also_readable) allow(path);
    for (auto const& path : request.masked) rules.deny.push_back({path, Permission::Read, true});
    return Scope::from_resolved(std::move(rules)).with_own_files(request.own_files);
  }

  /// The paths at which what is seen can change.
  Result<void> find_borders() {
    for (auto const& rule : scope_.allow_rules()) TRY(add_borders(rule));
    for (auto const& rule : scope_.deny_rules()) TRY(add_borders(rule));
    if (!request_.own_files.empty()) borders_.insert(request_.own_files);
    // Places that a write rule above does not open.
    for (auto const& rule : request_.scope.allow_rules()) {
      if (rule.permission == Permission::Write && facts_.kind(rule.target) == PathKind::Directory) add_protected_places(rule.target);
    }
    return {};
  }

  Result<void> add_borders(ScopeRule const& rule) {
    borders_.insert(rule.target);
    if (rule.recursive || facts_.kind(rule.target) != PathKind::Directory) return {};
    // The rule ends at the directories below.
    for (auto const& name : TRY(facts_.subdirectories(rule.target))) borders_.insert(join(rule.target, name));
    return {};
  }

  void add_protected_places(std::string const& directory) {
    // Those that are missing are occupied, or a command would make them. A repository may be made; then it is the Pod's own.
    for (auto const* name : {".insomnia", ".claude", ".codex", ".vscode"}) borders_.insert(join(directory, name));
    std::string git = join(directory, ".git");
    if (facts_.kind(git) == PathKind::File) borders_.insert(git);
    if (facts_.kind(git) != PathKind::Directory) return;
    borders_.insert(join(git, "hooks"));
    for (auto const* name : {"config", "config.worktree"}) {
      if (std::string path = join(git, name); facts_.kind(path) != PathKind::Missing) borders_.insert(path);
    }
  }

  /// How the content of a directory, or a file, is seen.
  Seen seen_at(std::string const& path, PathKind kind) const {
    auto permission = scope_.decide_resolved(kind == PathKind::Directory ? any_in(path) : path).permission;
    bool flat = permission == Permission::Write && kind == PathKind::Directory && !writes_all_below(path);
    return flat ? Seen::ReadOnly : seen(permission);
  }

  /// Whether some recursive write rule covers the directory; one that is not recursive can't be told to the kernel.
  bool writes_all_below(std::string const& path) const {
    std::string deep = any_in(any_in(path));
    return scope_.decide_resolved(deep).permission == Permission::Write;
  }

  /// The step of the nearest path above that has one, and how it is seen; null: the view's own directories.
  MountStep const* above(std::string const& path) const {
    for (std::string_view at = path; at != "/";) {
      at = at.substr(0, std::max<size_t>(at.rfind('/'), 1));
      auto found = by_path_.find(std::string(at));
      if (found != by_path_.end()) return &plan_.steps[found->second];
      if (at == "/") break;
    }
    return nullptr;
  }

  static Seen seen_through(MountStep const* step) {
    if (step == nullptr) return Seen::Nothing;
    switch (step->kind) {
      case Kind::ReadWrite:
      case Kind::Private: return Seen::ReadWrite;
      case Kind::ReadOnly: return Seen::ReadOnly;
      case Kind::Directory:
      case Kind::Symlink:
      case Kind::MaskDirectory:
      case Kind::MaskFile: break;
    }
    return Seen::Nothing;
  }

  void add(std::string const& path) {
    MountStep const* outer = above(path);
    bool on_host = outer != nullptr && (outer->kind == Kind::ReadOnly || outer->kind == Kind::ReadWrite);
    PathKind kind = facts_.kind(path);
    auto own = std::find_if(request_.privates.begin(), request_.privates.end(), [&](auto const& each) { return each.path == path; });
    if (own != request_.privates.end() && !request_.scope.decide_resolved(path).permission) {
      step(Kind::Private, path, own->source);
      return;
    }
    if (kind == PathKind::Missing) {
      if (seen_through(outer) == Seen::ReadWrite && on_host && seen(scope_.decide_resolved(path).permission) != Seen::ReadWrite) take_away_missing(path);
      return;
    }
    if (kind == PathKind::Symlink) {
      // A link shows the path that it leads to; one inside a mount is there already.
      if (!on_host && seen(scope_.decide_resolved(path).permission) != Seen::Nothing) step(Kind::Symlink, path, facts_.link_text(path));
      return;
    }
    Seen wanted = seen_at(path, kind);
    if (wanted != Seen::ReadWrite && kind == PathKind::Directory && scope_.decide_resolved(any_in(path)).permission == Permission::Write) {
      plan_.written_by_tools.push_back(path);
    }
    if (on_host && wanted == seen_through(outer)) return;
    if (!on_host && wanted == Seen::Nothing) return;  // it is not in the view anyhow
    switch (wanted) {
      case Seen::Nothing: step(kind == PathKind::Directory ? Kind::MaskDirectory : Kind::MaskFile, path, ""); break;
      case Seen::ReadOnly: step(Kind::ReadOnly, path, path); break;
      case Seen::ReadWrite: step(Kind::ReadWrite, path, path); break;
    }
  }

  void pin() {
    std::set<std::string, ByComponents> pinned;
    for (auto const& inner : plan_.steps) {
      if (inner.kind == Kind::Directory || inner.kind == Kind::Symlink) continue;
      MountStep const* outer = above(inner.path);
      if (outer == nullptr || seen_through(outer) != Seen::ReadWrite) continue;
      for (std::string path = io::parent_path(inner.path); is_strictly_below(path, outer->path); path = io::parent_path(path)) pinned.insert(path);
    }
    plan_.pinned.assign(pinned.begin(), pinned.end());
  }

  void take_away_missing(std::string const& path) {
    std::string first = path;
    while (facts_.kind(io::parent_path(first)) == PathKind::Missing) first = io::parent_path(first);
    if (by_path_.contains(first)) return;
    plan_.placeholders.push_back(first);
    step(Kind::MaskDirectory, first, "");
  }

  void step(Kind kind, std::string const& path, std::string const& source) {
    make_way(path);
    by_path_[path] = plan_.steps.size();
    plan_.steps.push_back({kind, path, source});
  }

  /// The directories of the view above a path, if nothing else stands there.
  void make_way(std::string const& path) {
    if (path == "/") return;
    std::string parent = io::parent_path(path);
    if (parent == "/" || by_path_.contains(parent) || seen_through(above(path)) != Seen::Nothing) return;
    if (auto const* outer = above(path); outer != nullptr && outer->kind == Kind::MaskDirectory) return;  // made inside of it
    make_way(parent);
    by_path_[parent] = plan_.steps.size();
    plan_.steps.push_back({Kind::Directory, parent, ""});
  }

  PlanRequest const& request_;
  FileFacts const& facts_;
  Scope const scope_;
  std::set<std::string, ByComponents> borders_;
  std::map<std::string, size_t> by_path_;  ///< index of the step for a path
  MountPlan plan_;
};

}  // namespace

bool is_strictly_below(std::string_view path, std::string_view above) { return path != above && scope::is_below(path, above); }

bool ByComponents::operator()(std::string_view a, std::string_view b) const {
  // '/' sorts before all other characters.
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    auto rank = [](char c) { return c == '/' ? 0 : 1 + static_cast<unsigned char>(c); };
    return rank(x) < rank(y);
  });
}

Result<MountPlan> plan_mounts(PlanRequest const& request, FileFacts const& facts) { return Planner(request, facts).run(); }

bool is_writing(MountStep const& step) { return step.kind == Kind::ReadWrite || step.kind == Kind::Private; }

std::vector<std::string> taken_paths(std::vector<MountStep> const& now, std::vector<MountStep> const& then) {
  using Writes = std::map<std::string, bool, ByComponents>;
  auto writes_of = [](std::vector<MountStep> const& steps) {
    Writes writes;
    for (auto const& step : steps) writes[step.path] = is_writing(step);
    return writes;
  };
  Writes before = writes_of(now), after = writes_of(then);
  auto writable = [](Writes const& writes, std::string at) {
    for (;; at = io::parent_path(at)) {
      if (auto found = writes.find(at); found != writes.end()) return found->second;
      if (at == "/") return false;
    }
  };
  std::vector<std::string> taken;
  auto look = [&](std::string const& path) {
    if (!writable(before, path) || writable(after, path)) return;
    if (std::none_of(taken.begin(), taken.end(), [&](auto const& above) { return scope::is_below(path, above); })) taken.push_back(path);
  };
  for (auto const* writes : {&before, &after}) {
    for (auto const& [path, is_writable] : *writes) look(path);
  }
  return taken;
}

std::string describe(MountPlan const& plan) {
  static std::map<Kind, std::string_view> const names{{Kind::Directory, "dir"},      {Kind::Symlink, "link"},           {Kind::Private, "private"},
                                                      {Kind::ReadOnly, "ro"},        {Kind::ReadWrite, "rw"},           {Kind::MaskDirectory, "mask-dir"},
                                                      {Kind::MaskFile, "mask-file"}};
  std::string text;
  auto line = [&](std::string_view name, std::string const& path, std::string const& more) {
    text += std::string(name) + std::string(10 - name.size(), ' ') + text::one_line(path, kShown) + (more.empty() ? "" : " <- " + text::one_line(more, kShown)) + "\n";
  };
  for (auto const& step : plan.steps) {
    bool elsewhere = step.kind == Kind::Private || step.kind == Kind::Symlink;
    line(names.at(step.kind), step.path, elsewhere ? step.source : "");
  }
  for (auto const& path : plan.pinned) line("pin", path, "");
  for (auto const& path : plan.placeholders) line("made", path, "");
  for (auto const& path : plan.written_by_tools) line("tools-rw", path, "");
  return text;
}

}  // namespace insomnia::cell
