#include "cli/pod_command.hh"

#include <charconv>
#include <map>
#include <optional>

#include "base/paths.hh"

namespace insomnia::cli {
namespace {

using Words = std::map<std::string, std::string, std::less<>>;

Result<std::optional<int>> descriptor(Words const& values, std::string const& option) {
  auto it = values.find(option);
  if (it == values.end()) return std::optional<int>();
  int number = -1;
  auto [end, error] = std::from_chars(it->second.data(), it->second.data() + it->second.size(), number);
  if (error != std::errc() || end != it->second.data() + it->second.size() || number < 0) {
    return fail(Code::InvalidArgument,
                option + " takes the number of an open descriptor, not `" + it->second + "`");
  }
  return std::optional(number);
}

Result<void> check(pod::PodOptions const& options) {
  bool spawn_config = options.spawn_config_fd.has_value() || !options.spawn_config_json.empty();
  auto exclude = [](bool both, std::string const& what) -> Result<void> {
    if (both) return fail(Code::InvalidArgument, what + " exclude each other");
    return {};
  };
  TRY(exclude(!options.manifest_path.empty() && !options.profile.empty(), "--manifest and --profile"));
  TRY(exclude(options.spawn_config_fd && !options.spawn_config_json.empty(),
              "--spawn-config-fd and --spawn-config-json"));
  TRY(exclude(spawn_config && !options.manifest_path.empty(), "a spawn config and --manifest"));
  TRY(exclude(spawn_config && !options.profile.empty(), "a spawn config and --profile"));
  TRY(exclude(options.adopt && options.require_pod_state, "--adopt and --require-pod-state"));
  if (options.adopt && options.callback.empty())
    return fail(Code::InvalidArgument, "--adopt requires --callback");
  if (!options.adopt && !options.callback.empty())
    return fail(Code::InvalidArgument, "--callback requires --adopt");
  if (options.require_pod_state && options.name.empty())
    return fail(Code::InvalidArgument, "--require-pod-state requires --pod");
  if (!options.name.empty()) TRY(check_pod_name(options.name));
  return {};
}

}  // namespace

Result<pod::PodOptions> parse_pod_options(std::vector<std::string> const& arguments) {
  pod::PodOptions options;
  std::map<std::string, std::string*, std::less<>> const texts{
      {"--pod", &options.name},
      {"--manifest", &options.manifest_path},
      {"--profile", &options.profile},
      {"--model", &options.model},
      {"--workspace", &options.workspace},
      {"--callback", &options.callback},
      {"--spawn-config-json", &options.spawn_config_json}};
  std::map<std::string, bool*, std::less<>> const flags{{"--adopt", &options.adopt},
                                                        {"--require-pod-state", &options.require_pod_state}};
  Words values;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string option = arguments[i].substr(0, arguments[i].find('='));
    bool inline_value = option.size() < arguments[i].size();
    if (option == "--project") {
      return fail(
          Code::InvalidArgument,
          "--project is no longer supported; name the file with --manifest or a profile with --profile");
    }
    if (auto flag = flags.find(option); flag != flags.end() && !inline_value) {
      *flag->second = true;
      continue;
    }
    bool known = texts.contains(option) || option == "--spawn-config-fd" || option == "--ready-fd" ||
                 option == "--lifeline-fd";
    if (!known) return fail(Code::InvalidArgument, "unexpected argument `" + arguments[i] + "`");
    if (values.contains(option)) return fail(Code::InvalidArgument, option + " is given twice");
    if (!inline_value && i + 1 == arguments.size())
      return fail(Code::InvalidArgument, option + " needs a value");
    values[option] = inline_value ? arguments[i].substr(option.size() + 1) : arguments[++i];
    if (values[option].empty()) return fail(Code::InvalidArgument, option + " needs a value");
  }
  for (auto const& [option, target] : texts) {
    if (auto it = values.find(option); it != values.end()) *target = it->second;
  }
  options.spawn_config_fd = TRY(descriptor(values, "--spawn-config-fd"));
  options.ready_fd = TRY(descriptor(values, "--ready-fd"));
  options.lifeline_fd = TRY(descriptor(values, "--lifeline-fd"));
  TRY(check(options));
  return options;
}

std::string pod_usage() {
  return "Usage: insomnia pod [OPTIONS]\n"
         "\n"
         "Runs one Pod in this process until it is told to end. `insomnia run` and the tool SpawnPod start "
         "Pods this way; people rarely do.\n"
         "\n"
         "  --pod NAME               its name; stored state of that name is continued\n"
         "  --require-pod-state      fail when there is no stored state\n"
         "  --manifest FILE          the configuration, TOML\n"
         "  --profile SELECTOR       or a profile\n"
         "  --model PROVIDER/MODEL   the model, whatever the configuration says\n"
         "  --workspace DIR          the workspace root; default: the current directory\n"
         "  --adopt                  take over the reservation that a parent made\n"
         "  --callback SOCKET        the parent's socket; with --adopt\n"
         "  --spawn-config-fd N      read the hand-over (JSON) from descriptor N\n"
         "  --spawn-config-json TEXT the hand-over itself; everybody can see it in the process list\n"
         "  --ready-fd N             write the ready line to descriptor N too\n"
         "  --lifeline-fd N          end when the other end of pipe N is closed\n";
}

}  // namespace insomnia::cli
