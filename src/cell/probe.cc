#include "cell/probe.hh"

#include <fcntl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/io.hh"
#include "base/text.hh"
#include "cell/confinement.hh"
#include "cell/host.hh"
#include "cell/landlock.hh"
#include "cell/namespaces.hh"
#include "cell/view.hh"
#include "loop/child.hh"

namespace insomnia::cell {
namespace {

constexpr int64_t kProbeMs = 5'000;

/// What may change the answer, on one line.
std::string circumstances() {
  utsname name{};
  ::uname(&name);
  std::string boot(text::trim(io::read_file("/proc/sys/kernel/random/boot_id", 4096).value_or("")));
  // Processes that run under a filter or in a container share the runtime directory with others that don't.
  auto file = io::read_file("/proc/self/status", 1 << 20).value_or("");
  std::string filter;
  for (auto line : text::split(file, '\n')) {
    if (line.starts_with("Seccomp:") || line.starts_with("CapEff:")) filter += " " + std::string(text::trim(line.substr(line.find(':') + 1)));
  }
  std::string label(text::trim(io::read_file("/proc/self/attr/current", 4096).value_or("")));
  return "1 " + boot + " " + name.release + " " + std::to_string(::geteuid()) + filter + " " + text::one_line(label, 200);
}

Result<void> ask(std::string const& program) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  UniqueFd ours(ends[0]), theirs(ends[1]);
  loop::Launch launch{.program = program, .argv = {program, "cell-probe"}, .environment = {}, .cwd = "/", .descriptors = {{theirs.get(), 1}}};
  loop::Child child = TRY(loop::Child::start(launch));
  theirs.reset();
  auto status = child.wait(kProbeMs);
  if (!status) return fail(Code::Timeout, "the probe for a cell did not end");
  if (status->ok()) return {};
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  char said[4096];
  ssize_t length = ::read(ours.get(), said, sizeof said);
  return fail(Code::Unavailable, length > 0 ? std::string(text::trim(std::string_view(said, static_cast<size_t>(length)))) : "the probe for a cell ended with " + status->describe());
}

}  // namespace

Result<void> try_cell() {
  HostFacts facts;
  MountPlan plan = TRY(plan_mounts({.scope = scope::Scope::from_resolved({{{"/usr", scope::Permission::Read, true}}, {}}),
                                    .own_files = "",
                                    .system = system_paths(facts),
                                    .also_readable = {},
                                    .masked = {},
                                    .privates = {}},
                                   facts));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  UniqueFd report_read(ends[0]), report_write(ends[1]);
  auto first = TRY(start_in_namespaces({}, [&] {
    auto tried = [&]() -> Result<void> {
      (void)TRY(View::build(plan, kViewPlace));
      auto confinement = TRY(Confinement::prepare({}));
      TRY(enter_view(kViewPlace, "/"));
      return confinement.enter();
    }();
    if (!tried) (void)io::write_all(report_write.get(), tried.error().message, "the report");
    return tried ? 0 : 1;
  }));
  report_write.reset();
  std::string report = TRY(io::read_all(report_read.get(), "the report of the probe"));
  int status = 0;
  while (::waitpid(first.pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!report.empty()) return fail(Code::Unavailable, report);
  if (status != 0) return fail(Code::Unavailable, "the first process of a cell ended at once");
  return {};
}

std::string cell_remedy(std::string_view os_release, std::string_view reason, bool in_container) {
  std::string ids;  // " ubuntu debian "
  for (auto line : text::split(os_release, '\n')) {
    if (!line.starts_with("ID=") && !line.starts_with("ID_LIKE=")) continue;
    ids += " " + text::replace_all(std::string(line.substr(line.find('=') + 1)), "\"", "") + " ";
  }
  auto is = [&](std::string_view id) { return ids.find(" " + std::string(id) + " ") != std::string::npos; };
  if (in_container) {
    return "a container forbids it: start it with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined` "
           "(docker, podman), or use its own isolation and set `required = false` in [sandbox]";
  }
  bool no_namespaces = reason.find("No space left") != std::string_view::npos;
  if (no_namespaces) return "`sysctl user.max_user_namespaces` is too low: `sudo sysctl -w user.max_user_namespaces=15000`";
  if (is("ubuntu")) {
    return "AppArmor forbids it (since 23.10): `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or a profile for the insomnia binary with the rule `userns,`";
  }
  if (is("debian") || is("arch")) return "`sudo sysctl -w kernel.unprivileged_userns_clone=1`; with AppArmor, a profile for the insomnia binary with the rule `userns,`";
  if (is("rhel") || is("centos") || is("fedora")) return "`sudo sysctl -w user.max_user_namespaces=15000`";
  return "allow user namespaces: see the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns";
}

int cell_probe_main() {
  auto tried = try_cell();
  if (tried) return 0;
  std::printf("%s\n", tried.error().message.c_str());
  return 1;
}

Level level_of_machine(Paths const& paths, std::string const& program) {
  std::string file = paths.runtime_dir + "/cell-level";
  std::string here = circumstances();
  if (auto known = io::read_file(file, 1 << 16)) {
    auto lines = text::split(*known, '\n');
    if (lines.size() >= 3 && lines[0] == here) {
      Level level{lines[1] == "cell" ? Isolation::Cell : Isolation::None, std::string(lines[2])};
      if (level.isolation == Isolation::None && landlock_version() >= kLandlockFiles) level.isolation = Isolation::Landlock;
      return level;
    }
  }
  auto asked = ask(program);
  Level level;
  if (asked) level.isolation = Isolation::Cell;
  else level.reason = text::one_line(asked.error().message, 400);
  // When it can't be kept it is asked again.
  (void)io::replace_file(file, here + "\n" + std::string(isolation_name(level.isolation)) + "\n" + level.reason + "\n");
  if (level.isolation == Isolation::None && landlock_version() >= kLandlockFiles) level.isolation = Isolation::Landlock;
  return level;
}

}  // namespace insomnia::cell
