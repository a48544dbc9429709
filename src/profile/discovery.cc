#include "profile/discovery.hh"

#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "base/io.hh"
#include "base/resource.hh"
#include "base/text.hh"
#include "manifest/agent_file.hh"
#include "manifest/profile_document.hh"
#include "manifest/profile_registry.hh"
#include "scope/scope.hh"

namespace insomnia::profile {
namespace {

constexpr size_t kMaxProfile = 1 << 20;
constexpr std::string_view kExtensions[] = {".lua", ".toml", ".md"};
/// What stands for the folder of a profile that is in the binary.
constexpr char kNowhere[] = "/nonexistent";

std::string_view extension_of(std::string_view path) {
  auto name = path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
  auto dot = name.rfind('.');
  return dot == std::string_view::npos || dot == 0 ? std::string_view() : name.substr(dot);
}

bool is_file(std::string const& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

Result<void> check_extension(std::string const& path) {
  auto extension = extension_of(path);
  if (std::find(std::begin(kExtensions), std::end(kExtensions), extension) != std::end(kExtensions)) return {};
  return fail(Code::Unsupported, path + ": unsupported profile extension " + (extension.empty() ? "<none>" : std::string(extension)) +
                                     "; Lua profiles must end in .lua, others in .toml, agents of other programs in .md");
}

/// The document of a profile whose text is known.
struct Read {
  manifest::ProfileDocument document;
  std::string notes;
  std::vector<LuaChunk> sources;
  std::vector<std::string> unmapped;
};

Result<Read> read_text(std::string const& name, std::string text, std::string const& directory, StartHost const& start_host) {
  if (extension_of(name) == ".toml") {
    auto document = TRY(manifest::parse_profile_toml(text, name));
    return Read{std::move(document), "", {{name, std::move(text)}}, {}};
  }
  if (extension_of(name) == ".md") {
    auto agent = TRY(manifest::parse_agent_file(text, name));
    return Read{std::move(agent.profile), "", {{name, std::move(text)}}, std::move(agent.unmapped)};
  }
  auto evaluated = TRY(evaluate_profile({name, std::move(text)}, directory, start_host));
  auto document = manifest::decode_profile(evaluated.document, [&](std::string_view path) { return place_in_lua(evaluated.sources, path); }, true);
  return Read{TRY(std::move(document)), std::move(evaluated.notes), std::move(evaluated.sources), {}};
}

/// A path that a profile names must not lead out of its folder by links either.
Result<void> check_named_paths(manifest::Config const& config, std::string const& name, std::string const& directory) {
  for (auto const& [key, path] : manifest::named_paths(config)) {
    auto real = io::real_path(directory + "/" + path);
    if (real && !scope::is_below(*real, directory))
      return fail(Code::PermissionDenied, name + ": " + key + ": leads out of the profile's folder: " + path + " is " + *real);
  }
  return {};
}

ResolvedProfile resolved(Read read, std::string const& directory, std::string const& workspace, bool trusted = true) {
  ResolvedProfile result{.slug = read.document.slug,
                         .description = read.document.description,
                         .notes = std::move(read.notes),
                         .unmapped = std::move(read.unmapped),
                         .sources = std::move(read.sources)};
  if (!trusted) read.document = manifest::without_widening(std::move(read.document), result.left_out);
  result.config = manifest::profile_config(read.document, directory, workspace);
  return result;
}

/// `project`: canonical, when it is one of a project; `registry`: the file that lists it there.
Result<ResolvedProfile> read_file(std::string const& path, std::string const& project, std::string const& registry, ProfileReading const& reading) {
  TRY(check_extension(path));
  // A link to a profile leads to its folder.
  std::string real = TRY(io::real_path(path));
  if (!project.empty() && !scope::is_below(real, project))
    return fail(Code::PermissionDenied, "the profile " + path + " leads out of " + project + ": it is " + real);
  std::string directory = io::parent_path(real);
  Read read = TRY(read_text(real, TRY(io::read_file(real, kMaxProfile)), directory, reading.start_host));
  TRY(check_named_paths(read.document.config, real, directory));
  if (!registry.empty()) read.sources.push_back({registry, TRY(io::read_file(registry, kMaxProfile))});
  bool trusted = project.empty() || (reading.trusts && reading.trusts(project, read.sources));
  return resolved(std::move(read), directory, reading.workspace, trusted);
}

// ---- Sources

/// The list of those in the binary.
manifest::ProfileRegistry embedded() {
  auto text = base::find_resource("profiles/profiles.toml");
  if (!text) panic("the embedded profiles/profiles.toml is missing");
  auto registry = manifest::parse_profile_registry(*text, "builtin:profiles.toml");
  if (!registry) panic(registry.error().message);
  return *std::move(registry);
}

void find_builtin(ProfilePlaces const& places, std::vector<ProfileEntry>& entries) {
  if (places.builtin_directory.empty()) {
    for (auto const& [name, entry] : embedded().profiles) entries.push_back({Source::Builtin, name, entry.description, false, ""});
    return;
  }
  for (auto const& name : io::list_directory(places.builtin_directory).value_or(std::vector<std::string>{})) {
    std::string path = places.builtin_directory + "/" + name;
    std::string stem(std::string_view(name).substr(0, name.size() - extension_of(name).size()));
    if (is_file(path + "/profile.lua")) entries.push_back({Source::Builtin, name, "", false, path + "/profile.lua"});
    else if (is_file(path) && (path.ends_with(".lua") || path.ends_with(".toml")) && manifest::is_profile_name(stem))
      entries.push_back({Source::Builtin, stem, "", false, path});
  }
}

/// A default that a file declares.
struct Declared {
  Selector selector;
  std::string file;
};

/// Of a registry file: its profiles, and the default that it declares.
Result<std::optional<Declared>> find_registered(std::string const& file, Source source, std::vector<ProfileEntry>& entries) {
  if (file.empty() || !io::exists(file)) return std::nullopt;
  auto registry = TRY(manifest::parse_profile_registry(TRY(io::read_file(file, kMaxProfile)), file));
  std::string folder = io::parent_path(file);
  for (auto const& [name, entry] : registry.profiles) entries.push_back({source, name, entry.description, false, io::absolute(entry.path, folder)});
  if (!registry.default_selector) return std::nullopt;
  Selector selector = parse_cli_selector(*registry.default_selector);
  if (selector.kind != Selector::Kind::Named || !selector.source) selector = {Selector::Kind::Named, source, *registry.default_selector, ""};
  return Declared{selector, file};
}

void find_agents(std::string const& directory, std::vector<ProfileEntry>& entries) {
  if (directory.empty()) return;
  for (auto const& name : io::list_directory(directory).value_or(std::vector<std::string>{})) {
    std::string stem(std::string_view(name).substr(0, name.size() - extension_of(name).size()));
    if (extension_of(name) == ".md" && manifest::is_profile_name(stem)) entries.push_back({Source::Claude, stem, "", false, directory + "/" + name});
  }
}

/// The project that .insomnia/profiles.toml or .claude/agents is of.
std::string project_of(std::string const& file) { return io::parent_path(io::parent_path(file)); }

Result<ResolvedProfile> read_builtin(ProfileEntry const& entry, ProfileReading const& reading) {
  auto registry = embedded();
  auto found = registry.profiles.find(entry.name);
  auto text = found == registry.profiles.end() ? std::nullopt : base::find_resource("profiles/" + found->second.path);
  if (!text) return fail(Code::NotFound, "profile not found: " + entry.qualified_name());
  return resolved(TRY(read_text("builtin:" + found->second.path, std::string(*text), kNowhere, reading.start_host)), kNowhere, reading.workspace);
}

}  // namespace

ProfilePlaces profile_places(Paths const& paths, std::string const& cwd) {
  ProfilePlaces places;
  if (!paths.config_dir.empty()) places.user_file = paths.config_dir + "/profiles.toml";
  for (std::string at = cwd;; at = io::parent_path(at)) {
    std::string file = io::absolute(".insomnia/profiles.toml", at), agents = io::absolute(".claude/agents", at);
    if (places.project_file.empty() && io::exists(file)) places.project_file = file;
    if (places.agents_directory.empty() && io::exists(agents)) places.agents_directory = agents;
    if (at == "/") return places;
  }
}

ProfileSet discover_profiles(ProfilePlaces const& places, ProfileReading reading) {
  ProfileSet set;
  Declared chosen{{Selector::Kind::Named, Source::Builtin, "default", ""}, ""};
  std::optional<Declared> users;
  find_builtin(places, set.entries);
  for (auto const& [file, source] : {std::pair(places.user_file, Source::User), std::pair(places.project_file, Source::Project)}) {
    auto found = find_registered(file, source, set.entries);
    if (!found) set.diagnostic += (set.diagnostic.empty() ? "" : "; ") + found.error().message;
    else if (*found) chosen = **found;
    if (found && *found && source == Source::User) users = *found;
  }
  find_agents(places.agents_directory, set.entries);
  // What another program's people wrote is never what a Pod is by default.
  auto find = [&](Declared const& declared) {
    auto is_it = [&](ProfileEntry const& entry) { return entry.source == declared.selector.source && entry.name == declared.selector.name; };
    bool one = declared.selector.source != Source::Claude && std::count_if(set.entries.begin(), set.entries.end(), is_it) == 1;
    return one ? std::find_if(set.entries.begin(), set.entries.end(), is_it) : set.entries.end();
  };
  auto problem = [](Declared const& declared) {
    return declared.file + " names `" + text::one_line(declared.selector.label(), 100) + "` as the default, which " +
           (declared.selector.source == Source::Claude ? "an agent of another program can't be" : "is not there");
  };
  if (auto entry = find(chosen); entry != set.entries.end()) entry->is_default = true;
  else if (!chosen.file.empty()) set.default_problem = problem(chosen);
  if (users) {
    if (auto entry = find(*users); entry != set.entries.end()) set.users_default = *entry;
    else set.users_default_problem = problem(*users);
  }
  set.load = [reading = std::move(reading), places](ProfileEntry const& entry) -> Result<ResolvedProfile> {
    if (entry.path.empty()) return read_builtin(entry, reading);
    if (entry.source == Source::Project) return read_file(entry.path, TRY(io::real_path(project_of(places.project_file))), places.project_file, reading);
    if (entry.source == Source::Claude) return read_file(entry.path, TRY(io::real_path(project_of(places.agents_directory))), "", reading);
    return read_file(entry.path, "", "", reading);
  };
  return set;
}

std::string place_in_profile(ResolvedProfile const& profile, std::string_view path) {
  if (profile.sources.empty()) return "";
  auto const& main = profile.sources.front();
  // An intent is written as one key; what it means is not.
  for (std::string_view scope : {"scope", "delegation_scope"}) {
    if (path.starts_with(std::string(scope) + ".")) path = scope;
  }
  if (extension_of(main.name) == ".lua") return written_in_lua(profile.sources, path);
  manifest::Positions positions;
  (void)manifest::parse_toml_document(main.source, main.name, positions);
  auto position = positions.find(path);
  return position == positions.end() ? "" : main.name + ":" + std::to_string(position->second.line);
}

Result<SelectedProfile> read_selected_profile(std::string_view text, ProfileSet const& profiles, ProfileReading const& reading) {
  Selector selector = text.empty() ? Selector{} : parse_cli_selector(text);
  if (selector.kind == Selector::Kind::Path) {
    std::string path = io::absolute(selector.path, TRY(io::current_directory()));
    auto profile = TRY(read_profile_file(path, reading));
    std::string name =
        extension_of(path) == ".lua" && path.ends_with("/profile.lua") ? std::string(io::base_name(io::parent_path(path))) : std::string(io::base_name(path));
    ProfileEntry entry{Source::User, name.substr(0, name.size() - extension_of(name).size()), "", false, path};
    return SelectedProfile{path, suggested_pod_name(entry, profile.slug), std::move(profile), {}};
  }
  auto entry = profiles.select(selector);
  if (!entry) return std::unexpected(Error{entry.error().code, entry.error().message + "; profiles at hand: " + profiles.qualified_names()});
  auto profile = profiles.load(*entry);
  if (!profile) return std::unexpected(std::move(profile).error().with_context("profile `" + entry->qualified_name() + "`"));
  SelectedProfile selected{entry->qualified_name(), suggested_pod_name(*entry, profile->slug), *std::move(profile), {}};
  bool of_project = entry->source == Source::Project || entry->source == Source::Claude;
  if (of_project && !profiles.users_default_problem.empty()) return fail(Code::InvalidArgument, profiles.users_default_problem + ", and what it forbids would hold here, too");
  if (of_project && profiles.users_default) {
    auto users = profiles.load(*profiles.users_default);
    if (!users) return std::unexpected(std::move(users).error().with_context("profile `" + profiles.users_default->qualified_name() + "`, whose limits hold here, too"));
    selected.ceilings = manifest::ceilings_below({}, users->config);
    selected.ceilings.depth = 0;
    bool only_reads = !users->config.scope.allow.empty() && users->config.scope.allow.front().permission == scope::Permission::Read;
    for (auto& rule : selected.profile.config.scope.allow) rule.permission = only_reads ? scope::Permission::Read : rule.permission;
  }
  return selected;
}

Result<ResolvedProfile> read_profile_file(std::string const& path, ProfileReading const& reading) { return read_file(path, "", "", reading); }

Result<std::optional<ProjectProfiles>> read_project(ProfilePlaces const& places, ProfileReading reading) {
  if (places.project_file.empty()) return std::nullopt;
  ProjectProfiles result{.project = TRY(io::real_path(project_of(places.project_file)))};
  reading.trusts = nullptr;
  ProfileSet set =
      discover_profiles({.builtin_directory = "", .user_file = "", .project_file = places.project_file, .agents_directory = ""}, std::move(reading));
  if (!set.diagnostic.empty()) return fail(Code::InvalidArgument, set.diagnostic);
  std::map<std::string, std::string> sources;
  for (auto const& entry : set.entries) {
    if (entry.source != Source::Project) continue;
    auto profile = set.load(entry);
    if (!profile) {
      result.problems.push_back(entry.qualified_name() + ": " + profile.error().message);
      continue;
    }
    for (auto const& source : profile->sources) sources[source.name] = source.source;
    for (auto const& said : profile->left_out) result.wishes.push_back({entry.qualified_name(), said});
  }
  for (auto& [name, source] : sources) result.sources.push_back({name, std::move(source)});
  return result;
}

}  // namespace insomnia::profile
