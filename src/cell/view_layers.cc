#include "cell/view_layers.hh"

#include <algorithm>
#include <optional>

#include "base/io.hh"
#include "scope/scope.hh"

namespace insomnia::cell {
namespace {

using Steps = std::map<std::string, MountStep, ByComponents>;

/// Those for a path and everything below it, as steps alone.
template <class Map>
std::vector<MountStep> steps_below(Map const& map, std::string const& path) {
  std::vector<MountStep> result;
  for (auto const& [at, value] : map) {
    if (!scope::is_below(at, path)) continue;
    if constexpr (requires { value.step; }) result.push_back(value.step);
    else result.push_back(value);
  }
  return result;
}

template <class Map>
std::optional<MountStep> step_at(Map const& map, std::string const& path) {
  auto found = map.find(path);
  if (found == map.end()) return std::nullopt;
  if constexpr (requires { found->second.step; }) return found->second.step;
  else return found->second;
}

bool shows_the_host(MountStep const& step) {
  return step.kind == MountStep::Kind::ReadOnly || step.kind == MountStep::Kind::ReadWrite || step.kind == MountStep::Kind::Private;
}

/// What is seen at a path that has no step of its own.
Result<MountStep> seen_through(Steps const& steps, std::string const& path) {
  for (std::string at = path; at != "/";) {
    at = io::parent_path(at);
    auto found = steps.find(at);
    if (found == steps.end()) continue;
    if (!shows_the_host(found->second)) break;
    MountStep step = found->second;
    step.source = (step.source == "/" ? "" : step.source) + path.substr(at == "/" ? 0 : at.size());
    step.path = path;
    return step;
  }
  return fail(Code::Unsupported, "what is seen at " + path + " can't be changed in a cell that is in use");
}

}  // namespace

ViewLayers::ViewLayers(std::vector<MountStep> const& base) {
  for (auto const& step : base) shown_[step.path] = {step, 0};
}

ViewLayers::ByPath ViewLayers::part(std::string const& path) const {
  ByPath result;
  for (auto const& [at, shown] : shown_) {
    if (scope::is_below(at, path)) result.emplace(at, shown);
  }
  return result;
}

void ViewLayers::replace_part(std::string const& path, ByPath const& by) {
  std::erase_if(shown_, [&](auto const& each) { return scope::is_below(each.first, path); });
  shown_.insert(by.begin(), by.end());
}

Result<ViewChange> ViewLayers::change_to(std::vector<MountStep> const& list) {
  Steps steps;
  for (auto const& step : list) steps[step.path] = step;
  ViewLayers next = *this;
  ViewChange change;
  // The newest first: one that lies under another can't be seen again before that is gone.
  for (size_t i = next.layers_.size(); i-- > 0;) {
    Layer const& layer = next.layers_[i];
    bool is_covered = std::any_of(next.layers_.begin() + static_cast<std::ptrdiff_t>(i) + 1, next.layers_.end(), [&](Layer const& newer) {
      return scope::is_below(newer.path, layer.path) || scope::is_below(layer.path, newer.path);
    });
    // What differs deeper below is looked at afterwards.
    auto wanted = step_at(steps, layer.path);
    if (is_covered || step_at(layer.before, layer.path) != wanted || step_at(next.shown_, layer.path) == wanted) continue;
    change.uncover.push_back({layer.path, layer.mount});
    next.replace_part(layer.path, layer.before);
    next.layers_.erase(next.layers_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  std::vector<std::string> differ;
  for (auto const& [path, shown] : next.shown_) {
    auto wanted = steps.find(path);
    if (wanted == steps.end() || wanted->second != shown.step) differ.push_back(path);
  }
  for (auto const& [path, step] : steps) {
    if (!next.shown_.contains(path)) differ.push_back(path);
  }
  std::sort(differ.begin(), differ.end(), ByComponents());
  std::string covered;
  for (auto const& path : differ) {
    if (!covered.empty() && scope::is_below(path, covered)) continue;
    covered = path;
    Cover cover{path, steps_below(steps, path)};
    if (!steps.contains(path)) cover.steps.insert(cover.steps.begin(), TRY(seen_through(steps, path)));
    next.layers_.push_back({path, 0, next.part(path)});
    ByPath by;
    for (auto const& [at, step] : steps) {
      if (scope::is_below(at, path)) by[at] = {step, 0};
    }
    next.replace_part(path, by);
    change.cover.push_back(std::move(cover));
  }
  *this = std::move(next);
  return change;
}

void ViewLayers::set_mount(std::string const& path, uint64_t mount) {
  if (auto found = shown_.find(path); found != shown_.end()) found->second.mount = mount;
  auto layer = std::find_if(layers_.rbegin(), layers_.rend(), [&](Layer const& each) { return each.path == path; });
  if (layer != layers_.rend() && layer->mount == 0) layer->mount = mount;
}

void ViewLayers::forget(std::string const& path) {
  replace_part(path, {});
  std::erase_if(layers_, [&](Layer const& layer) { return scope::is_below(layer.path, path); });
}

}  // namespace insomnia::cell
