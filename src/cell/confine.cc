#include "cell/confine.hh"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/io.hh"
#include "cell/become_program.hh"
#include "cell/confinement.hh"
#include "cell/placeholders.hh"
#include "cell/view.hh"

namespace insomnia::cell {
namespace {

constexpr size_t kLongestError = 4096;

/// Does not return. `report`: where a failure before the program's own life is written.
[[noreturn]] void become(ConfinedCommand const& command, Confinement const& confinement, int report) {
  auto give_up = [&](Error const& error) {
    (void)io::write_all(report, error.message, "the report");
    ::_exit(125);
  };
  if (auto entered = enter_view(kViewPlace, command.cwd); !entered) give_up(entered.error());
  if (auto confined = confinement.enter(); !confined) give_up(confined.error());
  become_program(command.argv, command.environment);
}

Result<pid_t> start(ConfinedCommand const& command, int report) {
  View view = TRY(View::build(command.plan, kViewPlace));
  auto confinement = TRY(Confinement::prepare(command.limits));
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork the command", errno);
  if (pid == 0) become(command, confinement, report);
  forbid_further_user_namespaces();
  return pid;
}

/// The first process: all that end without a parent come to it, and with it all end.
int first_process(ConfinedCommand const& command, int report) {
  // It keeps the host's tree: nobody in the cell may look through it.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  auto started = start(command, report);
  if (!started) {
    (void)io::write_all(report, started.error().message, "the report");
    return 125;
  }
  pid_t pid = *started;
  ::close(report);
  int status = 0;
  for (;;) {
    int ended = 0;
    pid_t who = ::waitpid(-1, &ended, 0);
    if (who == pid) status = ended;
    if (who == pid || (who < 0 && errno != EINTR)) break;
  }
  ::kill(-1, SIGKILL);
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
  return shell_status(status);
}

}  // namespace

Result<int> run_confined(ConfinedCommand const& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  UniqueFd report_read(ends[0]), report_write(ends[1]);
  Placeholders placeholders = TRY(Placeholders::make(command.plan.placeholders));
  ControlGroup group = ControlGroup::make(command.limits);
  NamespaceRequest namespaces = command.namespaces;
  namespaces.group = &group;
  auto first = TRY(start_in_namespaces(namespaces, [&] {
    placeholders.forget();
    group.forget();
    return first_process(command, report_write.get());
  }));
  report_write.reset();
  // Ctrl-C is for the command: it gets it from the terminal, as does this process, which waits for its end.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGQUIT, SIG_IGN);
  std::string report = io::read_all(report_read.get(), "the report of the cell", kLongestError).value_or("");
  int status = 0;
  while (::waitpid(first.pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!report.empty()) return fail(Code::Unavailable, "the cell could not be made: " + report);
  return shell_status(status);
}

}  // namespace insomnia::cell
