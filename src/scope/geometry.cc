#include "scope/geometry.hh"

#include <algorithm>

#include "base/text.hh"
#include "scope/protected.hh"
#include "scope/scope.hh"

namespace insomnia::scope {

std::string_view parent_of(std::string_view path) {
  if (path.size() <= 1) return {};
  auto slash = path.rfind('/');
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

bool is_below(std::string_view path, std::string_view base) {
  if (!path.starts_with(base)) return false;
  return path.size() == base.size() || base.ends_with('/') || path[base.size()] == '/';
}

PathSet paths_of(ScopeRule const& rule) {
  return {rule.target, rule.recursive ? PathSet::Kind::Tree : PathSet::Kind::Flat};
}

bool contains(PathSet const& outer, PathSet const& inner) {
  switch (outer.kind) {
    case PathSet::Kind::Tree:
      return is_below(inner.target, outer.target);
    case PathSet::Kind::Flat:
      if (inner.kind == PathSet::Kind::Tree) return false;
      if (inner.target == outer.target) return true;
      return inner.kind == PathSet::Kind::Point && parent_of(inner.target) == outer.target;
    case PathSet::Kind::Point:
      return inner == outer;
  }
  return false;
}

std::optional<PathSet> shared_paths(PathSet const& a, PathSet const& b) {
  if (contains(a, b)) return b;
  if (contains(b, a)) return a;
  // What is left to share is at most the top of one: a direct child of the other, which is flat.
  PathSet top_of_a{a.target, PathSet::Kind::Point};
  if (contains(b, top_of_a)) return top_of_a;
  PathSet top_of_b{b.target, PathSet::Kind::Point};
  if (contains(a, top_of_b)) return top_of_b;
  return std::nullopt;
}

bool is_canonical_form(std::string_view path) {
  if (path == "/") return true;
  if (!path.starts_with('/') || path.find('\0') != std::string_view::npos) return false;
  auto parts = text::split(path.substr(1), '/');
  return std::none_of(parts.begin(), parts.end(),
                      [](std::string_view part) { return part.empty() || part == "." || part == ".."; });
}

Error not_utf8(std::string_view path) {
  return {Code::InvalidArgument, "the name " + text::to_utf8(path) + " is not UTF-8: a Pod can't be given it; rename it, or use a directory above it"};
}

bool matches(ScopeRule const& rule, std::string_view resolved_path) {
  return contains(paths_of(rule), {resolved_path, PathSet::Kind::Point});
}

bool rules_overlap(ScopeRule const& a, ScopeRule const& b) {
  return shared_paths(paths_of(a), paths_of(b)).has_value();
}

bool covers_fully(ScopeRule const& cover, ScopeRule const& inner) {
  if (inner.permission == Permission::Write && !opens(cover, inner.target)) return false;
  return cover.permission >= inner.permission && contains(paths_of(cover), paths_of(inner));
}

bool delegation_allows(ScopeConfig const& delegation, ScopeRule const& requested) {
  bool granted = std::any_of(delegation.allow.begin(), delegation.allow.end(),
                             [&](ScopeRule const& grant) { return covers_fully(grant, requested); });
  // Denying read denies write as well; denying write leaves read alone.
  bool denied = std::any_of(delegation.deny.begin(), delegation.deny.end(), [&](ScopeRule const& deny) {
    return deny.permission <= requested.permission && rules_overlap(deny, requested);
  });
  return granted && !denied;
}

}  // namespace insomnia::scope
