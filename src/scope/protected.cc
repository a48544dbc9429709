#include "scope/protected.hh"

#include <algorithm>
#include <array>
#include <vector>

#include "scope/scope.hh"

namespace insomnia::scope {
namespace {

constexpr std::array<std::string_view, 4> kSettings{".insomnia", ".claude", ".codex", ".vscode"};
constexpr std::array<std::string_view, 3> kOfGit{"hooks", "config", "config.worktree"};
/// Below these the names are those of branches and objects.
constexpr std::array<std::string_view, 3> kData{"objects", "refs", "logs"};

bool is_in(auto const& names, std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); }

/// Where the walk through the components stands.
enum class In { Tree, Git, Worktrees, Worktree, Modules, Data };

In next(In in, std::string_view name) {
  if (name == ".git") return In::Git;
  switch (in) {
    case In::Git:
      if (name == "worktrees") return In::Worktrees;
      return name == "modules" ? In::Modules : In::Data;
    case In::Worktrees: return In::Worktree;
    case In::Worktree: return In::Data;
    case In::Modules: return is_in(kData, name) ? In::Data : In::Modules;
    case In::Tree:
    case In::Data: break;
  }
  return in;
}

bool is_place(In in, std::string_view name, bool last) {
  if (is_in(kSettings, name)) return true;
  if (name == ".git") return last;
  switch (in) {
    case In::Git:
    case In::Modules: return is_in(kOfGit, name);
    case In::Worktree: return name == "config.worktree";
    case In::Tree:
    case In::Worktrees:
    case In::Data: break;
  }
  return false;
}

}  // namespace

std::string_view protected_place(std::string_view path) {
  std::string_view place;
  In in = In::Tree;
  for (size_t begin = 1; begin < path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    std::string_view name = path.substr(begin, end - begin);
    if (is_place(in, name, end == path.size())) place = path.substr(0, end);
    in = next(in, name);
    begin = end + 1;
  }
  return place;
}

std::string describe_protection(std::string_view place) {
  return std::string(place) + " is protected: what is there is run or obeyed by programs outside of this Pod; only a person opens it, with --scope write:" +
         std::string(place);
}

bool opens(ScopeRule const& rule, std::string_view path) {
  auto place = protected_place(path);
  return place.empty() || is_below(rule.target, place);
}

}  // namespace insomnia::scope
