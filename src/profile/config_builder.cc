#include "profile/config_builder.hh"

namespace insomnia::profile {
namespace {

/// A profile that names a model keeps it. One that only sets details (a key, a window) sets them on the
/// spawner's.
manifest::ModelManifest model_of_child(manifest::Config const& spawner, manifest::Config const& profile) {
  if (profile.model.ref || profile.model.model_id) return profile.model;
  manifest::Config lower;
  lower.model = spawner.model;
  manifest::Config upper;
  upper.model = profile.model;
  return manifest::merge(std::move(lower), upper).model;
}

/// What a child of this profile may do less than its spawner's ceilings say: it narrows, and nothing is handed on by it.
void add_restrictions(manifest::Config& config, manifest::Config const& profile) {
  config.tools = profile.tools;
  config.sandbox = profile.sandbox;
  config.limits = profile.limits;
  config.budget = profile.budget;
}

Result<ChildConfig> base_config(manifest::Manifest const& spawner, ProfileSet const& profiles,
                         ChildRequest const& request) {
  Selector selector = TRY(parse_spawn_selector(request.profile));
  if (selector.kind == Selector::Kind::Inherit)
    return ChildConfig{manifest::reusable_fields(spawner.config), "inherit", {}, {}};
  ProfileEntry entry = TRY(profiles.select(selector));
  auto loaded = profiles.load(entry);
  if (!loaded)
    return std::unexpected(
        std::move(loaded).error().with_context("profile `" + entry.qualified_name() + "`"));
  // What another program calls `sonnet` is of one provider: elsewhere the child takes its spawner's model.
  if (entry.source == Source::Claude && loaded->config.model.ref && !spawner.config.model.ref.value_or("").starts_with("anthropic/")) {
    loaded->unmapped.push_back("model " + *loaded->config.model.ref);
    loaded->config.model = {};
  }
  manifest::Config config = manifest::reusable_fields(manifest::merge(manifest::builtin_defaults(), loaded->config));
  config.model = model_of_child(spawner.config, config);
  add_restrictions(config, loaded->config);
  return ChildConfig{std::move(config), entry.qualified_name(), std::move(loaded->left_out), std::move(loaded->unmapped)};
}

}  // namespace

Result<ChildConfig> build_child_config(manifest::Manifest const& spawner, ProfileSet const& profiles,
                                       ChildRequest const& request) {
  auto base = base_config(spawner, profiles, request);
  if (!base) {
    return fail(Code::InvalidArgument,
                base.error().message + ". Use `default`, `inherit` or another of the available selectors: " +
                    profiles.selector_list() + ".");
  }
  ChildConfig child = *std::move(base);
  if (request.window_of && child.config.compaction && child.config.compaction->ratio) {
    if (auto window = request.window_of(child.config.model)) child.config = manifest::with_window(std::move(child.config), *window);
  }
  child.config.pod_name = request.pod_name;
  child.config.scope = {request.allow, request.deny};
  if (request.instruction) {
    child.config.worker.instruction = request.instruction;
    child.config.worker.instruction_text.reset();
  }
  // What the brain of the child will check, checked while a mistake can still be told to the one who asks.
  auto checked = manifest::resolve(child.config, /*require_scope=*/true);
  if (!checked) return fail(Code::InvalidArgument, "config of the child: " + checked.error().message);
  return child;
}

bool evaluates_lua(ProfileSet const& profiles, std::optional<std::string> const& profile) {
  auto selector = parse_spawn_selector(profile);
  if (!selector || selector->kind == Selector::Kind::Inherit) return false;
  auto entry = profiles.select(*selector);
  return entry && entry->path.ends_with(".lua");
}

}  // namespace insomnia::profile
