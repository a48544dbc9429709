#include "cli/main.hh"

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "base/environment.hh"
#include "cell/init.hh"
#include "cell/probe.hh"
#include "cli/command_line.hh"
#include "cli/inside_pod.hh"
#include "cli/output.hh"
#include "cli/pod_command.hh"
#include "loop/signals.hh"
#include "pod/pod_main.hh"
#include "profile/profile_host.hh"
#include "profile/rehearsal_host.hh"
#include "tools/hands_protocol.hh"

namespace insomnia::cli {
namespace {

/// Where a helper process finds the socket to its brain.
constexpr int kHelperSocket = 3;

template <class... Ts>
struct Overload : Ts... {
  using Ts::operator()...;
};

int run_pod(std::vector<std::string> const& arguments) {
  if (!arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h")) return print(pod_usage());
  auto options = parse_pod_options(arguments);
  if (!options) {
    Output(STDERR_FILENO).write("error: " + options.error().message + "\n\n" + pod_usage());
    return kUsage;
  }
  return pod::pod_main(*options, Environment::of_process());
}

int run_command(Command const& command) {
  Environment environment = Environment::of_process();
  return std::visit(Overload{
                        [&](RunOptions const& options) { return run_task(options, environment); },
                        [&](PsOptions const& options) { return list_pods(options, environment); },
                        [&](ScopeOptions const& options) { return show_scope(options, environment); },
                        [&](AttachOptions const& options) { return attach_pod(options, environment); },
                        [&](SendOptions const& options) { return send_message(options, environment); },
                        [&](ReadOptions const& options) { return read_answer(options, environment); },
                        [&](StopOptions const& options) { return stop_pod(options, environment); },
                        [&](RestoreOptions const& options) { return restore_pods(options, environment); },
                        [&](LogsOptions const& options) { return show_log(options, environment); },
                        [&](DoctorOptions const& options) { return examine_system(options, environment); },
                        [&](VersionOptions const& options) { return print_version(options); },
                        [&](DemoOptions const& options) { return run_demo(options, environment); },
                        [&](CellOptions const& options) { return run_in_cell(options, environment); },
                        [&](ExecOptions const& options) { return exec_in_pod(options, environment); },
                        [&](ProfileOptions const& options) { return run_profile_command(options, environment); },
                        [&](TrustOptions const& options) { return trust_project(options, environment); },
                        [&](UsageOptions const& options) { return show_usage(options, environment); },
                        [&](ProvidersOptions const& options) { return show_providers(options, environment); },
                        [&](SecretOptions const& options) { return keep_secrets(options, environment); },
                        [&](ModelsOptions const& options) { return options.check.empty() ? list_models(options, environment) : check_model(options, environment); },
                        [&](PromptOptions const& options) { return show_prompt(options, environment); },
                    },
                    command);
}

int dispatch(std::vector<std::string> const& arguments) {
  // The helpers come first: they start often and must start fast.
  std::string_view first = arguments.empty() ? std::string_view() : std::string_view(arguments[0]);
  if (first == "hands") return tools::hands_main(kHelperSocket);
  if (first == "cell-init") return cell::cell_init_main(kHelperSocket, kHelperSocket + 1, arguments.size() > 1 ? std::atoi(arguments[1].c_str()) : 0);
  if (first == "cell-probe") return cell::cell_probe_main();
  if (first == "lua" && arguments.size() > 1 && arguments[1] == "rehearsal")
    return profile::rehearsal_main(kHelperSocket);
  if (first == "lua" && arguments.size() > 1 && arguments[1] == "profile") return profile::profile_main(kHelperSocket);
  ParsedCommandLine parsed;
  if (first != "pod") parsed = parse_command_line(arguments);
  if (first == "pod" || parsed.command) {
    if (auto refused = refusal_inside_pod(first, Environment::of_process())) {
      print_error(refused->message);
      return kRefused;
    }
  }
  if (first == "pod") return run_pod({arguments.begin() + 1, arguments.end()});
  if (parsed.command) return run_command(*parsed.command);
  std::string text = parsed.text.ends_with('\n') ? parsed.text : parsed.text + "\n";
  if (parsed.exit_code == kFinished)
    print(text);
  else
    Output(STDERR_FILENO).write((arguments.empty() ? "" : "insomnia: ") + text);
  return parsed.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  loop::ignore_write_signals();
  try {
    return dispatch({argv + (argc > 0 ? 1 : 0), argv + argc});
  } catch (std::exception const& error) {
    print_error(std::string("out of resources or broken: ") + error.what());
    return kFailed;
  }
}

}  // namespace insomnia::cli
