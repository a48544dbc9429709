#include "testing/pod_home.hh"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "registry/liveness.hh"

namespace insomnia::testing {
namespace {

UniqueFd open_process(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

/// "" when the process is gone, or cannot be looked at.
std::string proc_file(pid_t pid, std::string_view name) {
  return io::read_file("/proc/" + std::to_string(pid) + "/" + std::string(name), 4 << 20).value_or("");
}

/// Whether `entry` ("NAME=value") is in the process's environment.
bool has_in_environment(pid_t pid, std::string const& entry) {
  return ('\0' + proc_file(pid, "environ") + '\0').find('\0' + entry + '\0') != std::string::npos;
}

/// Whether it is a child of ours (Pods that lost theirs come to us) that just now turns into another program: it has no environment at that
/// moment.
bool is_child_between_programs(pid_t pid) {
  if (!proc_file(pid, "environ").empty()) return false;
  std::string stat = proc_file(pid, "stat");
  size_t end = stat.rfind(") ");
  char state = 0;
  pid_t parent = 0;
  return end != std::string::npos && std::sscanf(stat.c_str() + end, ") %c %d", &state, &parent) == 2 && parent == ::getpid() && state != 'Z' && state != 'X';
}

bool wait_for_end(UniqueFd const& process, int64_t deadline_ms) {
  pollfd entry{process.get(), POLLIN, 0};
  return ::poll(&entry, 1, static_cast<int>(deadline_ms)) > 0;
}

}  // namespace

PodHome::PodHome(std::string executable) : binary(std::move(executable)) {
  // Pods that outlive their starter come to us, and we reap them.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (auto* name : {"home", "work"}) {
    if (auto made = io::make_directories(directory_ / name); !made) panic(made.error().message);
  }
  work_ = io::real_path(directory_ / "work").value_or("");
  Environment machine = Environment::of_process();
  // What the sanitizers and the compiler cache of the machine need; no proxies, keys or XDG directories.
  for (auto* name : {"PATH", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH"}) {
    if (auto value = machine.get(name)) environment.set(name, *value);
  }
  environment.set("HOME", directory_ / "home");
  environment.set("INSOMNIA_HOME", directory_ / "home");
  environment.set("LANG", "C.UTF-8");
}

PodHome::~PodHome() {
  // What is started while we look is found by the next look.
  for (int round = 0; round < 100; ++round) {
    auto left = processes();
    if (left.empty()) break;
    for (pid_t pid : left) {
      UniqueFd process = open_process(pid);
      // Now that it cannot become another process any more: is it still the one that was found?
      if (!process || !has_in_environment(pid, "HOME=" + (directory_ / "home"))) continue;
      ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
      wait_for_end(process, 10'000);
    }
  }
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

std::unique_ptr<Program> PodHome::start(std::vector<std::string> arguments, std::string cwd, std::string input) const {
  std::vector<std::string> line = launcher;
  line.push_back(binary);
  line.insert(line.end(), arguments.begin(), arguments.end());
  return std::make_unique<Program>(ProgramStart{.program = line.front(),
                                                .arguments = {line.begin() + 1, line.end()},
                                                .environment = environment,
                                                .cwd = cwd.empty() ? work_ : std::move(cwd),
                                                .input = std::move(input)});
}

Finished PodHome::run(std::vector<std::string> arguments, std::string cwd, std::string input) const {
  auto program = start(std::move(arguments), std::move(cwd), std::move(input));
  auto code = program->wait();
  return {code, program->out(), program->err()};
}

void PodHome::write(std::string_view name, std::string_view content) const {
  std::string path = file(name);
  auto made = io::make_directories(io::parent_path(path), 0755);
  if (made) made = io::replace_file(path, content, 0644);
  if (!made) panic(made.error().message);
}

std::string PodHome::read(std::string_view name) const { return io::read_file(file(name)).value_or("<no file>"); }

pid_t PodHome::pid_of(std::string const& pod) const {
  registry::wait_for_remains(paths().pod_lock(pod), kPatienceMs);
  auto holder = registry::lock_holder(paths().pod_lock(pod));
  return holder && *holder ? (*holder)->pid : 0;
}

pid_t PodHome::pid_of_command(std::string_view fragment) const {
  for (pid_t pid : processes()) {
    std::string line = io::read_file("/proc/" + std::to_string(pid) + "/cmdline").value_or("");
    std::replace(line.begin(), line.end(), '\0', ' ');
    if (line.find(fragment) != std::string::npos) return pid;
  }
  return 0;
}

std::vector<std::string> PodHome::living() const {
  std::vector<std::string> result;
  for (auto const& name : io::list_directory(paths().runtime_dir).value_or(std::vector<std::string>{})) {
    if (pid_of(name) != 0) result.push_back(name);
  }
  return result;
}

std::vector<pid_t> PodHome::processes() const {
  std::vector<pid_t> result;
  std::string entry = "HOME=" + (directory_ / "home");
  for (auto const& name : io::list_directory("/proc").value_or(std::vector<std::string>{})) {
    pid_t pid = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size() || pid == ::getpid()) continue;
    if (has_in_environment(pid, entry) || is_child_between_programs(pid)) result.push_back(pid);
  }
  return result;
}

std::string PodHome::records() const {
  constexpr size_t kLongestLine = 600;
  namespace fs = std::filesystem;
  std::string result;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(paths().data_dir, error), end; !error && entry != end; entry.increment(error)) {
    auto extension = entry->path().extension();
    if (!entry->is_regular_file() || (extension != ".jsonl" && extension != ".json" && extension != ".log")) continue;
    result += "== " + entry->path().string() + "\n";
    std::istringstream lines(io::read_file(entry->path().string()).value_or("(cannot be read)"));
    for (std::string line; std::getline(lines, line);) {
      bool is_long = line.size() > kLongestLine;
      result += line.substr(0, kLongestLine) + (is_long ? "…\n" : "\n");
    }
  }
  return result;
}

bool wait_for_stop(pid_t pid) {
  for (int64_t ms = 0; ms < kPatienceMs; ++ms) {
    auto stat = io::read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
    if (!stat) return false;
    size_t end = stat->rfind(") ");
    if (end != std::string::npos && (*stat)[end + 2] == 'T') return true;
    ::poll(nullptr, 0, 1);
  }
  return false;
}

bool wait_for_death(pid_t pid, int64_t deadline_ms) {
  UniqueFd process = open_process(pid);
  return !process || wait_for_end(process, deadline_ms);
}

}  // namespace insomnia::testing
