#include "manifest/profile_document.hh"

#include <algorithm>

#include "base/json.hh"
#include "base/text.hh"
#include "manifest/decode.hh"
#include "manifest/encode.hh"

namespace insomnia::manifest {
namespace bj = boost::json;

namespace {

constexpr std::string_view kIntents = "workspace_write or workspace_read";

/// "workspace_write", or {intent = "workspace_write"}.
std::optional<scope::Permission> read_intent(DecodeContext& context, bj::value const& value, std::string const& path) {
  auto const* word = value.if_string();
  std::string at = path;
  if (value.is_object()) {
    DecodeTable table(context, value, path);
    for (std::string_view key : {"allow", "deny"}) {
      if (value.get_object().contains(key)) {
        table.reject(key,
                     "is not allowed in a profile, because paths belong to one machine; use scope.workspace_write() or scope.workspace_read(), or a manifest");
      }
    }
    auto const* intent = table.find("intent");
    table.finish();
    at = table.path_of("intent");
    if (intent == nullptr) return context.reject(at, "is missing: " + std::string(kIntents)), std::nullopt;
    word = intent->if_string();
  }
  if (word != nullptr && *word == "workspace_write") return scope::Permission::Write;
  if (word != nullptr && *word == "workspace_read") return scope::Permission::Read;
  context.reject(at, "must be " + std::string(kIntents));
  return std::nullopt;
}

/// compact.tokens{…} and compact.ratio{…} mark their table by `kind`.
void read_helper_kind(DecodeContext& context, bj::object& compaction) {
  auto const* kind = compaction.if_contains("kind");
  if (kind == nullptr || !kind->is_string()) return;
  std::string name(kind->get_string());
  compaction.erase("kind");
  if (name == "tokens") return;
  if (name != "ratio") return context.reject("compaction.kind", "unknown compaction helper kind `" + text::one_line(name, 80) + "`; tokens or ratio");
  bj::object ratio;
  for (std::string_view key : {"threshold", "request_threshold", "request", "worker_context_max_tokens", "worker"}) {
    if (auto* value = compaction.if_contains(key)) {
      ratio.emplace(key, std::move(*value));
      compaction.erase(key);
    }
  }
  compaction["ratio"] = std::move(ratio);
}

void check_reusable_path(DecodeContext& context, std::string_view key, std::string const& path) {
  if (path.starts_with('/')) {
    context.reject(key,
                   "is an absolute path, which is not allowed in a profile: `" + text::one_line(path, 100) + "`; it must be relative to the profile's folder");
  }
  auto parts = text::split(path, '/');
  if (std::find(parts.begin(), parts.end(), "..") != parts.end()) {
    context.reject(key, "must stay within the profile's folder: `" + text::one_line(path, 100) + "`");
  }
}

std::string read_text(DecodeTable& root, std::string_view key) {
  auto const* value = root.find(key);
  if (value == nullptr) return "";
  if (value->is_string()) return std::string(value->get_string());
  root.reject(key, "must be a string");
  return "";
}

}  // namespace

Result<ProfileDocument> decode_profile(bj::value const& document, PlaceOf const& place, bool empty_tables_are_lists) {
  DecodeContext context(place, empty_tables_are_lists);
  ProfileDocument profile;
  if (!document.is_object()) {
    context.reject("", "a profile must be a table");
    return std::move(context).finish(std::move(profile));
  }
  bj::object object = document.get_object();
  for (std::string_view key : {"manifest", "config"}) {
    if (object.contains(key)) context.reject(key, "is not allowed in a profile; a complete manifest is run with --manifest FILE");
  }
  if (object.contains("pod")) context.reject("pod", "is not allowed in a profile: a Pod gets its name when it starts");
  if (auto* compaction = object.if_contains("compaction"); compaction != nullptr && compaction->is_object()) {
    read_helper_kind(context, compaction->get_object());
  }
  DecodeTable root(context, object, "");
  profile.slug = read_text(root, "slug");
  profile.description = read_text(root, "description");
  if (auto const* scope = root.find("scope")) profile.scope = read_intent(context, *scope, "scope").value_or(scope::Permission::Write);
  if (auto const* scope = root.find("delegation_scope")) profile.delegation_scope = read_intent(context, *scope, "delegation_scope");
  read_shared_sections(root, profile.config);
  root.finish();
  for (auto const& [key, path] : named_paths(profile.config)) check_reusable_path(context, key, path);
  return std::move(context).finish(std::move(profile));
}

Result<ProfileDocument> parse_profile_toml(std::string_view text, std::string const& file_name) {
  Positions positions;
  bj::object object = TRY(parse_toml_document(text, file_name, positions));
  return decode_profile(object, place_in(file_name, positions), false);
}

std::vector<std::pair<std::string, std::string>> named_paths(Config const& config) {
  std::vector<std::pair<std::string, std::string>> paths;
  auto model = [&](char const* key, auto const& value) {
    if (value && value->auth && !value->auth->file.empty()) paths.emplace_back(key, value->auth->file);
  };
  model("model.auth.file", std::optional(config.model));
  if (config.compaction) model("compaction.model.auth.file", config.compaction->model);
  if (config.memory) {
    if (config.memory->workspace_root) paths.emplace_back("memory.workspace_root", *config.memory->workspace_root);
    model("memory.extract_model.auth.file", config.memory->extract_model);
    model("memory.consolidation_model.auth.file", config.memory->consolidation_model);
  }
  if (config.skills) {
    for (auto const& directory : config.skills->directories) paths.emplace_back("skills.directories", directory);
  }
  return paths;
}

namespace {

/// Forgets values, and says which.
class Narrowing {
 public:
  Narrowing(Config const& before, std::vector<LeftOut>& left_out) : before_(encode_config(before)), left_out_(left_out) {}

  template <class T>
  void drop(std::string const& key, std::optional<T>& value) {
    if (!value) return;
    note(key);
    value.reset();
  }
  template <class T>
  void drop(std::string const& key, std::vector<T>& list) {
    if (list.empty()) return;
    note(key);
    list.clear();
  }
  void narrow(std::string const& key, ModelManifest& model) {
    drop(key + ".scheme", model.scheme);
    drop(key + ".base_url", model.base_url);
    drop(key + ".auth", model.auth);
    // A model that was described in full is none any more.
    if (!model.ref && model.model_id) drop(key + ".model_id", model.model_id);
  }
  void narrow(std::string const& key, std::optional<ModelManifest>& model) {
    if (!model) return;
    narrow(key, *model);
    if (model->empty()) model.reset();
  }

 private:
  void note(std::string const& key) {
    bj::object const* table = &before_;
    bj::value const* value = nullptr;
    for (auto part : text::split(key, '.')) {
      value = table != nullptr ? table->if_contains(part) : nullptr;
      table = value != nullptr ? value->if_object() : nullptr;
    }
    left_out_.push_back({key, value != nullptr ? json::dump(*value) : ""});
  }

  bj::object const before_;
  std::vector<LeftOut>& left_out_;
};

}  // namespace

std::string keys_of(std::vector<LeftOut> const& left_out) {
  std::string keys;
  for (auto const& each : left_out) keys += (keys.empty() ? "" : ", ") + each.key;
  return keys;
}

ProfileDocument without_widening(ProfileDocument profile, std::vector<LeftOut>& left_out) {
  Narrowing narrowing(profile.config, left_out);
  Config& config = profile.config;
  narrowing.narrow("model", config.model);
  if (config.compaction) narrowing.narrow("compaction.model", config.compaction->model);
  if (config.memory) {
    narrowing.narrow("memory.extract_model", config.memory->extract_model);
    narrowing.narrow("memory.consolidation_model", config.memory->consolidation_model);
  }
  if (config.web) {
    narrowing.drop("web.allow_private_addresses", config.web->allow_private_addresses);
    if (config.web->fetch) narrowing.drop("web.fetch.allow_private_addresses", config.web->fetch->allow_private_addresses);
    if (config.web->search) {
      narrowing.drop("web.search.base_url", config.web->search->base_url);
      narrowing.drop("web.search.api_key_env", config.web->search->api_key_env);
    }
  }
  // An explicit rule opens what is protected otherwise.
  narrowing.drop("permissions", config.permissions);
  if (profile.delegation_scope) {
    left_out.push_back({"delegation_scope", *profile.delegation_scope == scope::Permission::Write ? "\"workspace_write\"" : "\"workspace_read\""});
    profile.delegation_scope.reset();
  }
  if (config.limits) {
    Manifest usual;
    if (config.limits->max_depth > usual.max_depth()) narrowing.drop("limits.max_depth", config.limits->max_depth);
    if (config.limits->max_children > usual.max_children()) narrowing.drop("limits.max_children", config.limits->max_children);
    if (config.limits->max_live_pods > usual.max_live_pods()) narrowing.drop("limits.max_live_pods", config.limits->max_live_pods);
  }
  if (config.sandbox) {
    narrowing.drop("sandbox.read", config.sandbox->read);
    narrowing.drop("sandbox.on_lend", config.sandbox->on_lend);
    if (config.sandbox->network != "none") narrowing.drop("sandbox.network", config.sandbox->network);
    if (config.sandbox->required != true) narrowing.drop("sandbox.required", config.sandbox->required);
  }
  return profile;
}

Config profile_config(ProfileDocument const& profile, std::string const& directory, std::string const& workspace) {
  Config config = resolve_paths(profile.config, directory);
  config.scope = {{{workspace, profile.scope, true}}, {}};
  if (profile.delegation_scope) config.delegation_scope = scope::ScopeConfig{{{workspace, *profile.delegation_scope, true}}, {}};
  return config;
}

}  // namespace insomnia::manifest
