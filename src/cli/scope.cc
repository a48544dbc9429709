#include "cli/scope.hh"

#include <unistd.h>

#include "base/clock.hh"
#include "base/io.hh"
#include "base/paths.hh"
#include "cli/exit_code.hh"
#include "cli/live_pods.hh"
#include "cli/output.hh"
#include "cli/scope_report.hh"
#include "scope/scope.hh"

namespace insomnia::cli {
namespace {

Result<ScopeReport> make_report(std::string const& path, Paths const& paths) {
  std::string base = "/";
  if (!path.starts_with('/')) base = TRY(io::current_directory());
  std::string asked = io::absolute(path, base);
  std::string resolved = TRY(scope::canonical_path(asked));
  auto rows = TRY(live_pods(paths));
  return scope_report(rows, asked, resolved);
}

}  // namespace

int show_scope(ScopeOptions const& options, Environment const& environment) {
  if (options.path.empty()) {
    print_error("the path is empty");
    return kUsage;
  }
  auto report = make_report(options.path, Paths::resolve(environment));
  if (!report) {
    print_error(report.error().message);
    return kFailed;
  }
  if (options.json) return print(scope_report_json(*report));
  return print(
      scope_report_text(*report, SystemClock().wall_ms(), terminal_of(STDOUT_FILENO, environment).width));
}

}  // namespace insomnia::cli
