#include "profile/profile_set.hh"

#include <algorithm>

#include "base/resource.hh"
#include "base/text.hh"

namespace insomnia::profile {

std::string ProfileEntry::qualified_name() const {
  return std::string(source_name(source)) + ":" + name;
}

Result<ProfileEntry> ProfileSet::select(Selector const& selector) const {
  auto meant = [&](ProfileEntry const& entry) {
    if (selector.kind == Selector::Kind::Default) return entry.is_default;
    return entry.name == selector.name && (!selector.source || entry.source == *selector.source);
  };
  std::vector<ProfileEntry> found;
  std::copy_if(entries.begin(), entries.end(), std::back_inserter(found), meant);
  if (found.size() == 1) return found.front();
  if (selector.kind == Selector::Kind::Path) {
    return fail(Code::InvalidArgument,
                "invalid profile: path selectors are not registry entries: " + text::one_line(selector.path, 100));
  }
  std::string with_diagnostic = diagnostic.empty() ? "" : " (" + diagnostic + ")";
  if (selector.kind == Selector::Kind::Default) {
    return fail(Code::NotFound, "no default profile is configured" + with_diagnostic);
  }
  std::string label = text::one_line(selector.label(), 100);
  if (found.empty()) return fail(Code::NotFound, "profile not found: " + label + with_diagnostic);
  std::vector<std::string> candidates;
  for (auto const& entry : found) candidates.push_back("`" + entry.qualified_name() + "`");
  return fail(Code::InvalidArgument, "ambiguous profile name `" + label +
                                         "`; use a source-qualified selector such as " +
                                         text::join(candidates, ", "));
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
  auto entry =
      std::find_if(entries.begin(), entries.end(), [](ProfileEntry const& each) { return each.is_default; });
  return entry == entries.end() ? "" : entry->qualified_name();
}

manifest::Config builtin_default_profile() {
  auto text = base::find_resource("profiles/default.toml");
  if (!text) panic("the embedded profile profiles/default.toml is missing");
  auto config = manifest::parse_toml(*text, "builtin:default");
  if (!config) panic(config.error().message);
  return *std::move(config);
}

ProfileSet builtin_profiles() {
  ProfileSet set;
  set.entries.push_back({Source::Builtin, "default", "General coding work", true, ""});
  set.load = [](ProfileEntry const& entry) -> Result<manifest::Config> {
    if (entry.source == Source::Builtin && entry.name == "default") return builtin_default_profile();
    return fail(Code::NotFound, "profile not found: " + entry.qualified_name());
  };
  return set;
}

}  // namespace insomnia::profile
