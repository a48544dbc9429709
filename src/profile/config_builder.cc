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

struct Base {
  manifest::Config config;
  std::string label;
};

Result<Base> base_config(manifest::Manifest const& spawner, ProfileSet const& profiles,
                         ChildRequest const& request) {
  Selector selector = TRY(parse_spawn_selector(request.profile));
  if (selector.kind == Selector::Kind::Inherit)
    return Base{manifest::reusable_fields(spawner.config), "inherit"};
  ProfileEntry entry = TRY(profiles.select(selector));
  auto loaded = profiles.load(entry);
  if (!loaded)
    return std::unexpected(
        std::move(loaded).error().with_context("profile `" + entry.qualified_name() + "`"));
  manifest::Config config = manifest::reusable_fields(manifest::merge(manifest::builtin_defaults(), *loaded));
  config.model = model_of_child(spawner.config, config);
  return Base{std::move(config), entry.qualified_name()};
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
  ChildConfig child{std::move(base->config), std::move(base->label)};
  child.config.pod_name = request.pod_name;
  child.config.scope = {request.allow, request.deny};
  if (request.instruction) child.config.worker.instruction = request.instruction;
  // What the brain of the child will check, checked while a mistake can still be told to the one who asks.
  auto checked = manifest::resolve(child.config, /*require_scope=*/true);
  if (!checked) return fail(Code::InvalidArgument, "config of the child: " + checked.error().message);
  return child;
}

}  // namespace insomnia::profile
