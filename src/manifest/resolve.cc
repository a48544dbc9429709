#include "base/io.hh"
#include "base/paths.hh"
#include "manifest/manifest.hh"

namespace insomnia::manifest {
namespace {

// Every path of a manifest, `visit(label, path)`, in three parts: resolve() has checks of its own in between.

template <class ConfigType, class Visit>
void visit_head_paths(ConfigType& config, Visit&& visit) {
  if (config.prompt_pack) visit("pod.prompt_pack", *config.prompt_pack);
  if (config.model.auth && !config.model.auth->file.empty())
    visit("model.auth.file", config.model.auth->file);
}

template <class ConfigType, class Visit>
void visit_scope_paths(ConfigType& config, Visit&& visit) {
  for (auto& rule : config.scope.allow) visit("scope.allow.target", rule.target);
  for (auto& rule : config.scope.deny) visit("scope.deny.target", rule.target);
  if (!config.delegation_scope) return;
  for (auto& rule : config.delegation_scope->allow) visit("delegation_scope.allow.target", rule.target);
  for (auto& rule : config.delegation_scope->deny) visit("delegation_scope.deny.target", rule.target);
}

template <class Model, class Visit>
void visit_model(char const* label, Model& model, Visit&& visit) {
  if (model && model->auth && !model->auth->file.empty()) visit(label, model->auth->file);
}

template <class ConfigType, class Visit>
void visit_section_paths(ConfigType& config, Visit&& visit) {
  if (config.compaction) visit_model("compaction.model.auth.file", config.compaction->model, visit);
  if (config.memory) {
    if (config.memory->workspace_root) visit("memory.workspace_root", *config.memory->workspace_root);
    visit_model("memory.extract_model.auth.file", config.memory->extract_model, visit);
    visit_model("memory.consolidation_model.auth.file", config.memory->consolidation_model, visit);
  }
  if (config.skills) {
    for (auto& directory : config.skills->directories) visit("skills.directories", directory);
  }
  if (config.sandbox) {
    for (auto& directory : config.sandbox->read) visit("sandbox.read", directory);
  }
}

std::unexpected<Error> missing(std::string const& field, std::string const& hint) {
  return fail(Code::InvalidArgument, "missing required field: " + field + " (" + hint + ")");
}

/// Remembers the first path that is not absolute.
class AbsoluteCheck {
 public:
  void operator()(std::string const& label, std::string const& path) {
    if (!error_ && !path.starts_with('/')) {
      error_ = Error{Code::InvalidArgument, "path must be absolute (" + label + "): " + path};
    }
  }
  Result<void> result() const {
    if (error_) return std::unexpected(*error_);
    return {};
  }

 private:
  std::optional<Error> error_;
};

}  // namespace

Config resolve_paths(Config config, std::string const& base) {
  auto join = [&](std::string const&, std::string& path) {
    if (!path.starts_with('/')) path = io::absolute(path, base);
  };
  visit_head_paths(config, join);
  visit_scope_paths(config, join);
  visit_section_paths(config, join);
  return config;
}

std::vector<scope::ScopeRule> memory_denies(Config const& config, std::string const& workspace_root) {
  if (!config.memory) return {};
  std::string base = config.memory->workspace_root.value_or(workspace_root) + "/.insomnia/";
  return {{base + "memory", scope::Permission::Write, true}, {base + "knowledge", scope::Permission::Write, true}};
}

Result<Manifest> resolve(Config config, bool require_scope) {
  if (!config.pod_name) return missing("pod.name", "set `name` in [pod], or give --pod NAME");
  TRY(check_pod_name(*config.pod_name));
  AbsoluteCheck check;
  visit_head_paths(config, check);
  TRY(check.result());
  if (require_scope && config.scope.allow.empty()) {
    return missing("scope.allow", "add [[scope.allow]] with target and permission");
  }
  visit_scope_paths(config, check);
  TRY(check.result());
  if (config.permissions && !config.permissions->default_action) {
    return missing("permissions.default_action", "allow, deny or ask");
  }
  visit_section_paths(config, check);
  TRY(check.result());
  return Manifest{std::move(config), std::nullopt};
}

}  // namespace insomnia::manifest
