#include "cli/trust.hh"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/clock.hh"
#include "base/io.hh"
#include "base/sha256.hh"
#include "base/text.hh"
#include "cli/exit_code.hh"
#include "cli/output.hh"
#include "pod/launch.hh"
#include "profile/discovery.hh"
#include "profile/trust.hh"

namespace insomnia::cli {
namespace {

std::string wishes_of(profile::ProjectProfiles const& project) {
  std::string text;
  std::string last;
  for (auto const& wish : project.wishes) {
    if (wish.profile != last) text += "  " + safe_line(wish.profile, 0) + "\n";
    last = wish.profile;
    text += "    " + safe_line(wish.said.key, 0) + " = " + safe_line(wish.said.value, 300) + "\n";
  }
  return text;
}

std::string day_of(int64_t wall_ms) {
  std::time_t seconds = wall_ms / 1000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts));
}

Result<int> show(profile::ProjectProfiles const& project, profile::TrustStore const& store) {
  auto found = store.projects().find(project.project);
  if (found == store.projects().end()) {
    print(safe_path(project.project) + " is not trusted" +
          (project.wishes.empty() ? "; its profiles want nothing that needs it\n" : "\nIts profiles go without:\n" + wishes_of(project)));
    return kRefused;
  }
  std::string text = safe_path(project.project) + " is trusted since " + day_of(found->second.granted_at_ms) + "\n";
  bool as_it_was = true;
  for (auto const& source : project.sources) {
    auto file = found->second.files.find(source.name);
    std::string state = file == found->second.files.end() ? "new, not trusted" : file->second == sha256_hex(source.source) ? "" : "changed, not trusted";
    as_it_was = as_it_was && state.empty();
    text += "  " + safe_path(source.name) + (state.empty() ? "" : "  (" + state + ")") + "\n";
  }
  print(text);
  return as_it_was ? kFinished : kRefused;
}

Result<int> grant(Paths const& paths, profile::ProjectProfiles const& project, bool yes) {
  for (auto const& problem : project.problems) print_note("Left out, because it can't be read: " + problem);
  if (project.wishes.empty()) {
    print(safe_path(project.project) + ": its profiles want nothing that needs trust\n");
    return kFinished;
  }
  print("The profiles of " + safe_path(project.project) + " want\n" + wishes_of(project));
  if (!yes) {
    if (!can_ask()) {
      print_error("nobody can be asked here; look at the list above and use --yes");
      return kRefused;
    }
    if (!ask("Trust these files as they are? [y/N] ")) return kRefused;
  }
  TRY(profile::TrustStore::grant(paths, project.project, project.sources, SystemClock().wall_ms()));
  print("trusted; a file that changes is asked for again\n");
  return kFinished;
}

Result<int> run(TrustOptions const& options, Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  TRY(paths.require_data_dir());
  std::string cwd = TRY(io::current_directory());
  auto project = TRY(
      profile::read_project(profile::profile_places(paths, cwd), {.workspace = cwd, .start_host = profile::host_process(pod::RuntimeCommand::self().program)}));
  if (!project) {
    print("no project here: there is no .insomnia/profiles.toml in " + safe_path(cwd) + " or above\n");
    return kFinished;
  }
  if (options.revoke) {
    bool was = TRY(profile::TrustStore::revoke(paths, project->project));
    print(safe_path(project->project) + (was ? " is not trusted any more\n" : " was not trusted\n"));
    return kFinished;
  }
  if (options.show) return show(*project, TRY(profile::TrustStore::load(paths)));
  return grant(paths, *project, options.yes);
}

}  // namespace

bool can_ask() { return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1; }

bool ask(std::string_view question) {
  Output(STDERR_FILENO).write(question);
  std::string answer;
  char c = 0;
  for (;;) {
    ssize_t count = ::read(STDIN_FILENO, &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || c == '\n') break;
    if (answer.size() < 16) answer += c;
  }
  auto word = text::trim(answer);
  return word == "y" || word == "Y" || word == "yes" || word == "Yes";
}

int trust_project(TrustOptions const& options, Environment const& environment) {
  auto done = run(options, environment);
  if (done) return *done;
  return fail_with(done.error());
}

}  // namespace insomnia::cli
