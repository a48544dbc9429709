#include "cli/demo.hh"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/clock.hh"
#include "base/io.hh"
#include "base/paths.hh"
#include "base/text.hh"
#include "cell/probe.hh"
#include "cli/demo_project.hh"
#include "cli/demo_report.hh"
#include "cli/live_pods.hh"
#include "cli/output.hh"
#include "cli/run.hh"
#include "cli/stop.hh"

namespace insomnia::cli {
namespace {

constexpr char const* kPodName = "demo";
constexpr char const* kProject = "tally";
constexpr char const* kPristine = "tally.before";
constexpr int64_t kTestLimitMs = 120'000;
/// Longer ones would leave no room for the names of sockets.
constexpr size_t kLongestTemporary = 60;

Result<std::string> make_temporary_directory(Environment const& environment) {
  std::string base = environment.get("TMPDIR").value_or("/tmp");
  if (!base.starts_with('/') || base.size() > kLongestTemporary) base = "/tmp";
  std::string path = base + "/insomnia-demo-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return fail_errno("make a directory in " + base, errno);
  return io::real_path(path);
}

/// Points this process, and so the Pods that it starts, to a home of the demo's own.
class DemoHome {
 public:
  DemoHome(std::string const& home, Environment environment) : environment_(std::move(environment)) {
    for (char const* name : kVariables) {
      saved_.emplace_back(name, environment_.get(name));
      environment_.unset(name);
      ::unsetenv(name);
    }
    environment_.set("INSOMNIA_HOME", home);
    ::setenv("INSOMNIA_HOME", home.c_str(), 1);
  }
  ~DemoHome() {
    for (auto const& [name, value] : saved_) {
      if (value)
        ::setenv(name, value->c_str(), 1);
      else
        ::unsetenv(name);
    }
  }
  DemoHome(DemoHome const&) = delete;
  DemoHome& operator=(DemoHome const&) = delete;

  Environment const& environment() const { return environment_; }

 private:
  static constexpr char const* kVariables[] = {"INSOMNIA_HOME", "INSOMNIA_CONFIG_DIR", "INSOMNIA_DATA_DIR",
                                               "INSOMNIA_RUNTIME_DIR"};
  Environment environment_;
  std::vector<std::pair<char const*, std::optional<std::string>>> saved_;
};

/// One demo in its temporary directory.
class Demo {
 public:
  Demo(std::string directory, Environment const& environment)
      : directory_(std::move(directory)),
        home_(directory_ + "/home", environment),
        report_(kPodName, project()) {}

  Result<int> execute();

 private:
  std::string project() const { return directory_ + "/" + kProject; }
  int run_pods();
  void stop_leftovers();
  Result<bool> show_result(int64_t elapsed_ms);
  Result<ProgramRun> make(std::string const& target);

  std::string directory_;
  DemoHome home_;
  DemoReport report_;
};

Result<int> Demo::execute() {
  TRY(unpack_demo_project(project()));
  TRY(unpack_demo_project(directory_ + "/" + kPristine));
  print("A small C++ project with two defects is in " + project() +
        ".\nThe model is a script (rehearsal/demo) and needs no key; Pods, scopes and tools are real.\n\n");
  SystemClock clock;
  int64_t started_ms = clock.steady_ms();
  int code = run_pods();
  int64_t elapsed_ms = clock.steady_ms() - started_ms;
  stop_leftovers();
  if (code == kInterrupted) return code;
  bool good = TRY(show_result(elapsed_ms));
  if (code != kFinished) return code;
  return good ? kFinished : kFailed;
}

int Demo::run_pods() {
  RunOptions options;
  options.task =
      "Repair the C++ project in `" + project() +
      "`: its tests fail. Let a Pod of its own repair each broken folder, at the same time, and report.";
  options.name = kPodName;
  options.model = "rehearsal/demo";
  options.scope = {"write:" + project()};
  options.cwd = project();
  if (auto tried = cell::try_cell(); !tried) {
    // The demo is to be seen also where the kernel holds nobody; a Pod of one's own has to ask for that.
    options.manifest = directory_ + "/without-cell.toml";
    if (auto written = io::replace_file(options.manifest, "[sandbox]\nrequired = false\n"); !written) return fail_with(written.error());
    print_note("this machine has no cell for commands (" + tried.error().message + "), so the demo runs without; `insomnia doctor` says how to allow it");
  }
  options.observer = [this](std::string const& pod, wire::Event const& event) {
    report_.on_event(pod, event);
  };
  return run_task(options, home_.environment());
}

/// After an interrupt Pods may live on; the demo's home has no others.
void Demo::stop_leftovers() {
  Paths paths = Paths::resolve(home_.environment());
  auto rows = live_pods(paths);
  if (!rows) return;
  for (auto const& row : *rows) {
    if (find_live_pod(paths, row.pod_name))
      stop_pod({.name = row.pod_name, .tree = true, .force = true}, home_.environment());
  }
}

Result<ProgramRun> Demo::make(std::string const& target) {
  auto program = find_program("make", home_.environment());
  if (!program) return fail(Code::NotFound, "make is not on the PATH any more");
  return run_program(*program, {"-s", target}, project(), home_.environment(), kTestLimitMs);
}

Result<bool> Demo::show_result(int64_t elapsed_ms) {
  TRY(make("clean"));
  std::string diff = TRY(tree_diff(directory_, kPristine, kProject, home_.environment()));
  ProgramRun test = TRY(make("test"));
  bool refused = !report_.refusals().empty();
  std::string text = "\nPods and the scope they were given\n" + report_.tree_text();
  text += "\nRefused\n" +
          (refused ? report_.refusal_text()
                   : "  nothing, although a Pod should have tried to write to a foreign folder\n");
  text += "\nChanged\n" + (diff.empty() ? "  nothing\n" : diff);
  text += "\nmake test, built anew: " +
          (test.ok ? std::string("passed") : "FAILED (" + test.status + ")\n" + test.output);
  text +=
      "\nTime: " + std::to_string(elapsed_ms / 1000) + "." + std::to_string(elapsed_ms % 1000 / 100) + " s\n";
  print(text::for_terminal(text));
  return test.ok && refused && report_.children() == 2;
}

}  // namespace

int run_demo(DemoOptions const& options, Environment const& environment) {
  if (auto tools = check_build_tools(environment); !tools) return fail_with(tools.error());
  auto directory = make_temporary_directory(environment);
  if (!directory) return fail_with(directory.error());

  Result<int> code = Demo(*directory, environment).execute();
  int exit_code = code ? *code : fail_with(code.error());
  if (options.keep) {
    print_note("kept: " + *directory + "\n  INSOMNIA_HOME=" + *directory + "/home insomnia logs " + kPodName +
               "   shows the session");
    return exit_code;
  }
  if (auto removed = io::remove_tree(*directory); !removed) print_error(removed.error().message);
  return exit_code;
}

}  // namespace insomnia::cli
