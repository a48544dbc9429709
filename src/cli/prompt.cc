#include "cli/prompt.hh"

#include "base/clock.hh"
#include "base/io.hh"
#include "base/paths.hh"
#include "cli/exit_code.hh"
#include "cli/output.hh"
#include "cli/run_config.hh"
#include "manifest/manifest.hh"
#include "pod/launch.hh"
#include "pod/startup.hh"
#include "profile/discovery.hh"
#include "scope/scope.hh"

namespace insomnia::cli {
namespace {

Result<int> show(PromptOptions const& options, Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  std::string cwd = TRY(io::current_directory());
  auto config = manifest::merge(manifest::builtin_defaults(), TRY(load_settings(options.manifest, options.profile, paths)));
  if (!config.pod_name) config.pod_name = sanitize_pod_name(io::base_name(cwd), "pod");
  if (config.scope.allow.empty()) config.scope.allow.push_back({.target = cwd, .permission = scope::Permission::Write});
  auto manifest = TRY(manifest::resolve(std::move(config), true));
  auto scope = TRY(scope::Scope::create(manifest.config.scope));
  auto profiles = profile::discover_profiles(profile::profile_places(paths, cwd),
                                             {.workspace = cwd, .start_host = profile::host_process(pod::RuntimeCommand::self().program)});
  auto prompts = TRY(prompt::PromptCatalog::load(prompt::PromptSources::standard(paths.config_dir, cwd, manifest.config.prompt_pack.value_or(""))));
  auto tools = TRY(pod::tools_of_pod(prompts, profiles, manifest, {}));
  std::string alert;
  auto input = pod::system_prompt_input(manifest, cwd, cwd, tools, scope, alert);
  input.wall_ms = SystemClock().wall_ms();
  std::string text = TRY(prompt::build_system_prompt(input, prompts));
  size_t of_tools = 0;
  std::string list;
  for (auto const& tool : tools) {
    of_tools += tool.name.size() + tool.description.size() + tool.input_schema.size();
    list += "\n## " + tool.name + "\n\n" + tool.description + "\n\n" + tool.input_schema + "\n";
  }
  if (!alert.empty()) print_error(alert);
  int code = print(text + "\n" + (options.tools ? list : ""));
  print_note("The prompt has " + std::to_string(text.size()) + " bytes, its " + std::to_string(tools.size()) + " tools " + std::to_string(of_tools) + ".");
  return code;
}

}  // namespace

int show_prompt(PromptOptions const& options, Environment const& environment) {
  auto shown = show(options, environment);
  if (shown) return *shown;
  print_error(shown.error().message);
  return kFailed;
}

}  // namespace insomnia::cli
