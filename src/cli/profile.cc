#include "cli/profile.hh"

#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>

#include <fmt/format.h>

#include "base/io.hh"
#include "base/json.hh"
#include "base/resource.hh"
#include "base/text.hh"
#include "cli/exit_code.hh"
#include "cli/output.hh"
#include "cli/table.hh"
#include "llm/catalogue.hh"
#include "manifest/profile_registry.hh"
#include "manifest/toml_document.hh"
#include "pod/launch.hh"
#include "profile/discovery.hh"
#include "profile/trust.hh"

namespace insomnia::cli {
namespace bj = boost::json;

namespace {

/// The profiles of the current directory.
struct AtHand {
  Paths paths;
  std::string cwd;
  profile::ProfilePlaces places;
  profile::ProfileReading reading;
  profile::ProfileSet set;
};

Result<AtHand> look(Environment const& environment) {
  AtHand hand;
  hand.paths = Paths::resolve(environment);
  hand.cwd = TRY(io::current_directory());
  hand.places = profile::profile_places(hand.paths, hand.cwd);
  hand.reading = {.workspace = hand.cwd, .start_host = profile::host_process(pod::RuntimeCommand::self().program), .trusts = profile::trust_of(hand.paths)};
  hand.set = profile::discover_profiles(hand.places, hand.reading);
  return hand;
}

int list_profiles(AtHand const& hand, ProfileOptions const& options, Environment const& environment) {
  if (!hand.set.diagnostic.empty()) print_error(hand.set.diagnostic);
  int code = hand.set.diagnostic.empty() ? kFinished : kFailed;
  if (options.json) {
    bj::array rows;
    for (auto const& entry : hand.set.entries) {
      bj::object row{{"name", entry.name}, {"source", profile::source_name(entry.source)}, {"selector", entry.qualified_name()}, {"default", entry.is_default}};
      if (!entry.description.empty()) row["description"] = entry.description;
      if (!entry.path.empty()) row["path"] = text::to_utf8(entry.path);
      rows.push_back(std::move(row));
    }
    int printed = print(json::dump(rows) + "\n");
    return code == kFinished ? printed : code;
  }
  std::vector<std::vector<std::string>> rows;
  for (auto const& entry : hand.set.entries) {
    rows.push_back(
        {entry.qualified_name(), entry.is_default ? "yes" : "", entry.path.empty() ? "(built in)" : safe_path(entry.path), safe_line(entry.description, 200)});
  }
  int printed = print(format_table({"PROFILE", "DEFAULT", "FILE", "DESCRIPTION"}, rows, terminal_of(STDOUT_FILENO, environment).width));
  if (!hand.set.default_problem.empty()) print_note("There is no default: " + hand.set.default_problem + ".");
  return code == kFinished ? printed : code;
}

/// What a profile printed and what it may not say, for people, on stderr.
void print_remarks(profile::SelectedProfile const& selected) {
  if (!selected.profile.notes.empty()) print_note("It printed:\n" + std::string(text::trim(selected.profile.notes)));
  if (!selected.profile.unmapped.empty()) print_note("No counterpart here for: " + safe_line(text::join(selected.profile.unmapped, ", "), 0));
  if (!selected.profile.left_out.empty())
    print_note("Nobody has trusted this project, so these are left out: " + manifest::keys_of(selected.profile.left_out) +
               ". `insomnia trust` shows what they say, and allows it");
}

// ---- show

struct Value {
  std::string path, text, origin;
};

/// The values of a tree, in its order.
void flatten(bj::value const& tree, std::string const& path, std::vector<Value>& out) {
  auto const* object = tree.if_object();
  auto const* list = tree.if_array();
  if (object != nullptr && !object->empty()) {
    for (auto const& member : *object) flatten(member.value(), manifest::key_path(path, member.key()), out);
  } else if (list != nullptr && !list->empty() && std::any_of(list->begin(), list->end(), [](bj::value const& each) { return each.is_object(); })) {
    for (size_t i = 0; i < list->size(); ++i) flatten((*list)[i], manifest::index_path(path, i), out);
  } else {
    out.push_back({path, tree.is_double() ? fmt::format("{:g}", tree.get_double()) : json::dump(tree), ""});
  }
}

std::vector<Value> values_of(manifest::Config const& config) {
  std::vector<Value> values;
  flatten(json::parse(manifest::to_json(config)).value(), "", values);
  return values;
}

Result<int> show_profile(AtHand const& hand, ProfileOptions const& options, Environment const& environment) {
  auto selected = TRY(profile::read_selected_profile(options.selector, hand.set, hand.reading));
  auto const& own = selected.profile.config;
  manifest::Config config = manifest::merge(manifest::builtin_defaults(), own);
  std::string model_origin;
  if (config.model.empty()) {
    if (auto model = llm::default_model(environment, hand.paths.config_dir)) {
      config.model = std::move(model)->model;
      model_origin = "the key that is there";
    }
  }
  if (auto catalogue = llm::Catalogue::load(hand.paths.config_dir)) {
    if (auto model = catalogue->resolve(config.model)) config = manifest::with_window(std::move(config), model->context_window);
  }
  auto named = values_of(own);
  auto values = values_of(config);
  for (auto& value : values) {
    bool is_own = std::any_of(named.begin(), named.end(), [&](Value const& each) { return each.path == value.path; }) || value.path.starts_with("compaction.");
    std::string place = is_own ? profile::place_in_profile(selected.profile, value.path) : "";
    // A scope that it does not name is the workspace.
    bool is_default = !is_own || (place.empty() && value.path.starts_with("scope."));
    if (value.path.starts_with("model.") && !model_origin.empty()) value.origin = model_origin;
    else value.origin = is_default ? "default" : place.empty() ? selected.label : place;
  }
  print_remarks(selected);
  if (options.json) {
    bj::object origins;
    for (auto const& value : values) origins[value.path] = text::to_utf8(value.origin);
    return print(
        json::dump(bj::object{
            {"profile", text::to_utf8(selected.label)}, {"manifest", json::parse(manifest::to_json(config)).value()}, {"origins", std::move(origins)}}) +
        "\n");
  }
  std::vector<std::vector<std::string>> rows;
  for (auto const& value : values) rows.push_back({safe_line(value.path, 0), safe_line(value.text, 120), safe_line(value.origin, 0)});
  return print(format_table({"KEY", "VALUE", "FROM"}, rows, 0));
}

Result<int> check_profile(AtHand const& hand, ProfileOptions const& options) {
  auto selected = TRY(profile::read_selected_profile(options.selector, hand.set, hand.reading));
  print_remarks(selected);
  std::string files;
  for (auto const& source : selected.profile.sources) files += (files.empty() ? "" : ", ") + safe_path(source.name);
  return print("ok: " + safe_line(selected.label, 0) + (selected.profile.sources.size() > 1 ? " (" + files + ")" : "") + "\n");
}

// ---- new

/// A registry file with one profile more. The name is not in it.
Result<std::string> registry_with(std::string const& file, std::string const& name, std::string const& path) {
  std::string text = io::exists(file) ? TRY(io::read_file(file, 1 << 20)) : "# Profiles by name: insomnia run --profile NAME\n";
  auto before = TRY(manifest::parse_profile_registry(text, file));
  if (before.profiles.contains(name))
    return fail(Code::AlreadyExists, "there is a profile `" + name + "` already in " + file + ": " + before.profiles[name].path);
  if (!text.ends_with('\n')) text += '\n';
  std::string more = text + "\n[profile." + json::dump(bj::value(name)) + "]\npath = " + json::dump(bj::value(path)) + "\n";
  auto after = manifest::parse_profile_registry(more, file);
  if (!after || !after->profiles.contains(name)) {
    return fail(Code::Unsupported, file + " is written in a way that can't be added to; add it yourself: " + name + " = \"" + path + "\"");
  }
  return more;
}

Result<int> write_starter(AtHand const& hand, ProfileOptions const& options) {
  std::string const& name = options.selector;
  if (!manifest::is_profile_name(name) || name == "default" || name == "inherit") {
    return fail(
        Code::InvalidArgument,
        "`" + text::one_line(name, 80) + "` can't be the name of a profile: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot, and not default or inherit");
  }
  std::string folder = options.project ? (hand.places.project_file.empty() ? hand.cwd + "/.insomnia" : io::parent_path(hand.places.project_file))
                                       : TRY(hand.paths.require_config_dir());
  std::string relative = "profiles/" + name + ".lua";
  std::string path = folder + "/" + relative;
  if (io::exists(path)) return fail(Code::AlreadyExists, path + " exists already");
  std::string registry = TRY(registry_with(folder + "/profiles.toml", name, relative));
  auto starter = base::find_resource("lua/starter.lua");
  if (!starter) panic("the embedded lua/starter.lua is missing");
  TRY(io::make_directories(io::parent_path(path), 0755));
  TRY(io::write_file_atomic(path, text::replace_all(*starter, "@NAME@", name), 0644));
  TRY(io::write_file_atomic(folder + "/profiles.toml", registry, 0644));
  std::string selector = std::string(options.project ? "project:" : "user:") + name;
  return print("wrote " + safe_path(path) + "\nadded it to " + safe_path(folder + "/profiles.toml") + "\nuse it with: insomnia run --profile " + selector +
               " \"…\"\n");
}

Result<int> run_action(AtHand const& hand, ProfileOptions const& options, Environment const& environment) {
  switch (options.action) {
    case ProfileOptions::Action::List:
      return list_profiles(hand, options, environment);
    case ProfileOptions::Action::Show:
      return show_profile(hand, options, environment);
    case ProfileOptions::Action::Check:
      return check_profile(hand, options);
    case ProfileOptions::Action::New:
      return write_starter(hand, options);
  }
  return kFailed;
}

}  // namespace

int run_profile_command(ProfileOptions const& options, Environment const& environment) {
  auto hand = look(environment);
  if (!hand) return fail_with(hand.error());
  auto done = run_action(*hand, options, environment);
  if (done) return *done;
  print_error(done.error().message);
  return kFailed;
}

}  // namespace insomnia::cli
