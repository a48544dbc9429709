#include "profile/profile_set.hh"

#include <algorithm>

#include "base/paths.hh"
#include "base/text.hh"

namespace insomnia::profile {

std::string ProfileEntry::qualified_name() const { return std::string(source_name(source)) + ":" + name; }

Result<ProfileEntry> ProfileSet::select(Selector const& selector) const {
  auto meant = [&](ProfileEntry const& entry) {
    if (selector.kind == Selector::Kind::Default) return entry.is_default;
    return entry.name == selector.name && (selector.source ? entry.source == *selector.source : entry.source != Source::Claude);
  };
  if (!diagnostic.empty() && selector.kind == Selector::Kind::Default)
    return fail(Code::NotFound, "no default profile, because not all could be looked for: " + diagnostic);
  if (!diagnostic.empty() && selector.kind == Selector::Kind::Named && !selector.source) {
    return fail(Code::InvalidArgument, "profile `" + text::one_line(selector.name, 100) + "`: not all could be looked for: " + diagnostic +
                                           "; name its source, as in builtin:default");
  }
  std::vector<ProfileEntry> found;
  std::copy_if(entries.begin(), entries.end(), std::back_inserter(found), meant);
  if (found.size() == 1) return found.front();
  if (selector.kind == Selector::Kind::Path) {
    return fail(Code::InvalidArgument, "invalid profile: path selectors are not registry entries: " + text::one_line(selector.path, 100));
  }
  if (selector.kind == Selector::Kind::Default)
    return fail(Code::NotFound, "no default profile is configured" + (default_problem.empty() ? "" : ": " + default_problem));
  std::string label = text::one_line(selector.label(), 100);
  if (found.empty()) return fail(Code::NotFound, "profile not found: " + label + (diagnostic.empty() ? "" : " (" + diagnostic + ")"));
  std::vector<std::string> candidates;
  for (auto const& entry : found) candidates.push_back("`" + entry.qualified_name() + "`");
  // One source has it twice: only paths tell them apart.
  if (selector.source) {
    candidates.clear();
    for (auto const& entry : found) candidates.push_back("`path:" + entry.path + "`");
  }
  return fail(Code::InvalidArgument, "ambiguous profile name `" + label + "`; use a source-qualified selector such as " + text::join(candidates, ", "));
}

std::string ProfileSet::qualified_names() const {
  std::vector<std::string> names;
  for (auto const& entry : entries) names.push_back(entry.qualified_name());
  return names.empty() ? "(none)" : text::join(names, ", ");
}

std::string ProfileSet::selector_list() const {
  std::string list = "`default`, `inherit`";
  for (auto const& entry : entries) list += ", `" + entry.qualified_name() + "`";
  return list;
}

std::string ProfileSet::description_list() const {
  std::vector<std::string> lines;
  for (auto const& entry : entries) {
    std::string line = "- `" + entry.qualified_name() + "`";
    if (entry.is_default) line += " (default)";
    if (!entry.description.empty()) line += " — " + text::one_line(entry.description, 200);
    lines.push_back(std::move(line));
  }
  return lines.empty() ? "(none)" : text::join(lines, "\n");
}

std::string ProfileSet::default_name() const {
  auto entry = std::find_if(entries.begin(), entries.end(), [](ProfileEntry const& each) { return each.is_default; });
  return entry == entries.end() ? "" : entry->qualified_name();
}

std::string suggested_pod_name(ProfileEntry const& entry, std::string const& slug) {
  constexpr char kOwn[] = "insomnia";
  if (slug == "default" || (entry.source == Source::Builtin && entry.name == "default")) return kOwn;
  return sanitize_pod_name(slug.empty() ? entry.name : slug, kOwn);
}

}  // namespace insomnia::profile
