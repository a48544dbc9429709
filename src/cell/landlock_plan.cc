#include "cell/landlock_plan.hh"

#include <algorithm>
#include <map>

#include "base/io.hh"

namespace insomnia::cell {
namespace {

using Kind = MountStep::Kind;

constexpr size_t kMaxEntries = 4096;

std::string below(std::string const& directory, std::string const& name) { return (directory == "/" ? "" : directory) + "/" + name; }

class Planner {
 public:
  Planner(MountPlan const& plan, scope::Scope const& scope, FileFacts const& facts) : facts_(facts) {
    for (auto const& step : plan.steps) {
      if (step.kind == Kind::Symlink) continue;
      Seen seen;
      seen.writable = step.kind == Kind::ReadWrite || step.kind == Kind::Private;
      seen.readable = seen.writable || step.kind == Kind::ReadOnly;
      seen_[step.path] = seen;
    }
    // What is missing is hidden in a cell, so that there is something to mount upon; here it matters only who may read it once it is there.
    for (auto const& path : plan.placeholders) seen_[path].readable = scope.is_readable(path);
    // Names in a directory that is hidden would be listed too with those around it. A file has none in it.
    for (auto& [path, seen] : seen_) seen.listable = seen.readable || facts.kind(path) == PathKind::File;
  }

  LandlockPlan run() {
    for (auto const& [path, seen] : seen_) {
      if (facts_.kind(path) == PathKind::Missing) continue;
      if (seen.writable) allow(path, &Seen::writable, plan_.writable, &plan_.closed);
      if (!seen.readable) continue;
      allow(path, &Seen::readable, plan_.readable, nullptr);
      allow(path, &Seen::listable, plan_.listable, nullptr);
    }
    std::erase_if(plan_.listable, [&](auto const& path) { return facts_.kind(path) != PathKind::Directory; });
    for (auto* paths : {&plan_.listable, &plan_.readable, &plan_.writable}) tidy(*paths);
    std::sort(plan_.closed.begin(), plan_.closed.end(), ByComponents());
    return std::move(plan_);
  }

 private:
  struct Seen {
    bool readable = false;
    bool writable = false;
    bool listable = false;
  };

  /// Whether all steps below allow it too.
  bool is_whole(std::string const& path, bool Seen::*right) const {
    for (auto at = seen_.upper_bound(path); at != seen_.end() && is_strictly_below(at->first, path); ++at) {
      if (!(at->second.*right)) return false;
    }
    return true;
  }

  void allow(std::string const& path, bool Seen::*right, std::vector<std::string>& allowed, std::vector<std::string>* closed) {
    if (is_whole(path, right)) {
      allowed.push_back(path);
      return;
    }
    if (closed != nullptr) closed->push_back(path);
    auto names = facts_.entries(path, kMaxEntries);
    if (!names) return;
    for (auto const& name : *names) {
      std::string entry = below(path, name);
      if (!seen_.contains(entry)) allow(entry, right, allowed, closed);
    }
  }

  /// What lies below another one says nothing new.
  static void tidy(std::vector<std::string>& paths) {
    std::sort(paths.begin(), paths.end(), ByComponents());
    std::vector<std::string> kept;
    for (auto& path : paths) {
      if (kept.empty() || !scope::is_below(path, kept.back())) kept.push_back(std::move(path));
    }
    paths = std::move(kept);
  }

  FileFacts const& facts_;
  std::map<std::string, Seen, ByComponents> seen_;
  LandlockPlan plan_;
};

}  // namespace

LandlockPlan plan_landlock(MountPlan const& plan, scope::Scope const& scope, FileFacts const& facts) { return Planner(plan, scope, facts).run(); }

DomainRequest domain_of(LandlockPlan const& plan, std::vector<std::string> const& own_directories) {
  DomainRequest request{.files = true, .listable = plan.listable, .readable = plan.readable, .writable = plan.writable};
  request.writable.insert(request.writable.end(), own_directories.begin(), own_directories.end());
  request.readable.insert(request.readable.end(), own_directories.begin(), own_directories.end());
  request.listable.insert(request.listable.end(), own_directories.begin(), own_directories.end());
  // Of other processes the kernel shows no more than their names there: a domain cannot look into what is outside of it.
  request.readable.emplace_back("/proc");
  request.listable.emplace_back("/proc");
  for (auto const* device : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts"}) {
    request.readable.emplace_back(device);
    request.usable.emplace_back(device);
  }
  return request;
}

std::string describe(LandlockPlan const& plan) {
  std::string text;
  auto lines = [&](std::string_view what, std::vector<std::string> const& paths) {
    for (auto const& path : paths) text += std::string(what) + path + "\n";
  };
  lines("list    ", plan.listable);
  lines("read    ", plan.readable);
  lines("write   ", plan.writable);
  lines("closed  ", plan.closed);
  return text;
}

}  // namespace insomnia::cell
