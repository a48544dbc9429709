// Paths and rules as a model or a command line may write them: resolving never leaves canonical form, and the
// geometry of rules agrees with itself.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "scope/geometry.hh"
#include "scope/scope.hh"

using namespace insomnia;

namespace {

void require(bool condition, char const* what) {
  if (!condition) panic(what);
}

/// Takes the text up to the next line end off the input.
std::string next_line(std::string_view& input) {
  auto end = input.find('\n');
  std::string line(input.substr(0, end));
  input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
  return line;
}

scope::ScopeRule next_rule(std::string_view& input) {
  std::string line = next_line(input);
  char flags = line.empty() ? '\0' : line.front();
  scope::ScopeRule rule;
  rule.target = line.empty() ? "" : line.substr(1);
  rule.permission = (flags & 1) != 0 ? scope::Permission::Write : scope::Permission::Read;
  rule.recursive = (flags & 2) != 0;
  return rule;
}

void check_path(std::string const& path) {
  auto resolved = scope::resolve_path(path);
  if (!resolved) return;
  require(scope::is_canonical_form(*resolved), "a resolved path is not canonical");
  // /proc changes from one look to the next.
  if (!resolved->starts_with("/proc"))
    require(scope::resolve_path(*resolved) == resolved, "resolving twice differs");
}

void check_pair(scope::ScopeRule const& a, scope::ScopeRule const& b) {
  require(scope::rules_overlap(a, b) == scope::rules_overlap(b, a), "overlap is not symmetric");
  if (scope::covers_fully(a, b)) require(scope::rules_overlap(a, b), "a cover does not overlap");
  auto shared = scope::shared_paths(scope::paths_of(a), scope::paths_of(b));
  if (shared) {
    require(scope::contains(scope::paths_of(a), *shared), "shared paths leave the first rule");
    require(scope::contains(scope::paths_of(b), *shared), "shared paths leave the second rule");
    require(scope::matches(a, shared->target) && scope::matches(b, shared->target),
            "the shared target is in one rule only");
  }
  if (scope::delegation_allows({{a}, {}}, b))
    require(scope::covers_fully(a, b), "a grant allows what it does not cover");
  require(!scope::delegation_allows({{a}, {a}}, a), "a denied grant is allowed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  std::string_view input(reinterpret_cast<char const*>(data), size);
  scope::ScopeRule a = next_rule(input), b = next_rule(input);
  check_path(a.target);
  check_path(b.target);
  if (scope::is_canonical_form(a.target) && scope::is_canonical_form(b.target)) check_pair(a, b);
  if (auto request = scope::canonical_request({a, b})) {
    for (auto const& rule : *request)
      require(scope::is_canonical_form(rule.target), "a requested target is not canonical");
  }
  std::string text = next_line(input);
  if (auto rule = scope::parse_rule(text, "/base"))
    require(rule->target.starts_with('/'), "a parsed target is relative");
  return 0;
}
