#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/io.hh"
#include "base/text.hh"
#include "cell/mount_plan.hh"

namespace insomnia::cell {

/// A machine made of a list: "/w/" is a directory, "/w/f" a file, "/bin -> usr/bin" a link. Directories above are there.
class Machine : public FileFacts {
 public:
  explicit Machine(std::string_view list) {
    for (auto line : text::split(list, ' ')) {
      if (line.empty()) continue;
      std::string path(line);
      if (auto arrow = path.find("->"); arrow != std::string::npos) {
        links_[path.substr(0, arrow)] = path.substr(arrow + 2);
        path = path.substr(0, arrow);
      } else if (path.ends_with('/')) {
        path.pop_back();
        directories_.insert(path);
      } else {
        files_.insert(path);
      }
      for (auto parent = io::parent_path(path); parent != "/"; parent = io::parent_path(parent)) directories_.insert(parent);
    }
  }
  PathKind kind(std::string const& path) const override {
    if (path == "/" || directories_.contains(path)) return PathKind::Directory;
    if (links_.contains(path)) return PathKind::Symlink;
    return files_.contains(path) ? PathKind::File : PathKind::Missing;
  }
  Result<std::vector<std::string>> subdirectories(std::string const& path) const override {
    if (path == unreadable) return fail(Code::PermissionDenied, "list " + path);
    std::vector<std::string> names;
    for (auto const& directory : directories_) {
      if (io::parent_path(directory) == path) names.push_back(directory.substr(path == "/" ? 1 : path.size() + 1));
    }
    return names;
  }
  Result<std::vector<std::string>> entries(std::string const& path, size_t limit) const override {
    if (path == unreadable) return fail(Code::PermissionDenied, "list " + path);
    std::vector<std::string> names;
    for (auto const* things : {&directories_, &files_}) {
      for (auto const& thing : *things) {
        if (thing != "/" && io::parent_path(thing) == path) names.emplace_back(io::base_name(thing));
      }
    }
    if (names.size() > limit) return fail(Code::LimitReached, "too many entries");
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string link_text(std::string const& path) const override { return links_.at(path); }
  std::string unreadable;

 private:
  std::set<std::string> directories_, files_;
  std::map<std::string, std::string> links_;
};

using scope::Permission;
using scope::ScopeRule;

inline ScopeRule write(std::string path, bool recursive = true) { return {std::move(path), Permission::Write, recursive}; }
inline ScopeRule read(std::string path, bool recursive = true) { return {std::move(path), Permission::Read, recursive}; }

inline PlanRequest request(std::vector<ScopeRule> allow, std::vector<ScopeRule> deny = {}) {
  return {.scope = scope::Scope::from_resolved({std::move(allow), std::move(deny)}), .own_files = "", .system = {}, .also_readable = {}, .masked = {}, .privates = {}};
}

}  // namespace insomnia::cell
