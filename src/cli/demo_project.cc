#include "cli/demo_project.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.hh"
#include "base/io.hh"
#include "base/resource.hh"
#include "base/text.hh"
#include "loop/child.hh"

namespace insomnia::cli {
namespace {

constexpr std::string_view kFolder = "demo/project/";
constexpr size_t kMaxOutput = 1 << 20;
constexpr int64_t kDiffLimitMs = 20'000;

/// The names of the project's files, relative to its directory.
std::vector<std::string> project_files() {
  std::vector<std::string> names;
  for (base::Resource const& resource : base::resources()) {
    if (resource.path.starts_with(kFolder)) names.emplace_back(resource.path.substr(kFolder.size()));
  }
  return names;
}

/// Reads what a program prints until it closes its end; false when the deadline came first.
Result<bool> collect_output(int fd, int64_t deadline_ms, std::string& output) {
  SystemClock clock;
  for (;;) {
    int64_t left = deadline_ms - clock.steady_ms();
    if (left <= 0) return false;
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, static_cast<int>(left)) < 0 && errno != EINTR)
      return fail_errno("wait for output", errno);
    if (entry.revents == 0) continue;
    char chunk[16 << 10];
    ssize_t count = ::read(fd, chunk, sizeof chunk);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) return fail_errno("read output", errno);
    if (count == 0) return true;
    output.append(chunk, std::min(static_cast<size_t>(count), kMaxOutput - output.size()));
  }
}

std::vector<std::string_view> lines_of(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return text.empty() ? std::vector<std::string_view>{} : text::split(text, '\n');
}

/// diff's output without its command lines and the times of the files.
std::string tidy_diff(std::string const& diff) {
  std::string result;
  for (std::string_view line : lines_of(diff)) {
    if (line.starts_with("diff ")) continue;
    if (line.starts_with("--- ") || line.starts_with("+++ ")) line = line.substr(0, line.find('\t'));
    result += std::string(line) + "\n";
  }
  return result;
}

}  // namespace

Result<void> unpack_demo_project(std::string const& directory) {
  for (std::string const& name : project_files()) {
    std::string path = directory + "/" + name;
    TRY(io::make_directories(io::parent_path(path), 0755));
    TRY(io::replace_file(path, *base::find_resource(std::string(kFolder) + name), 0644));
  }
  return {};
}

std::optional<std::string> find_program(std::string_view name, Environment const& environment) {
  std::string path = environment.get("PATH").value_or("/usr/local/bin:/usr/bin:/bin");
  for (std::string_view directory : text::split(path, ':')) {
    if (!directory.starts_with('/')) continue;
    std::string candidate = std::string(directory) + "/" + std::string(name);
    struct stat info{};
    if (::stat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        ::access(candidate.c_str(), X_OK) == 0)
      return candidate;
  }
  return std::nullopt;
}

Result<void> check_build_tools(Environment const& environment) {
  std::vector<std::string> missing;
  if (!find_program("make", environment)) missing.emplace_back("make");
  if (!find_program("g++", environment) && !find_program("c++", environment))
    missing.emplace_back("g++ (or c++)");
  if (missing.empty()) return {};
  return fail(Code::NotFound,
              "the demo builds a small C++ project and " + text::join(missing, " and ") +
                  (missing.size() > 1 ? " are" : " is") +
                  " not on the PATH; install a compiler and make (Debian, Ubuntu: apt install g++ make)");
}

Result<ProgramRun> run_program(std::string const& program, std::vector<std::string> arguments,
                               std::string const& cwd, Environment const& environment, int64_t limit_ms) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  arguments.insert(arguments.begin(), program);
  loop::Launch launch{
      .program = program, .argv = std::move(arguments), .environment = environment, .cwd = cwd};
  launch.descriptors = {{write_end.get(), 1}, {write_end.get(), 2}};
  loop::Child child = TRY(loop::Child::start(launch));
  write_end.reset();

  SystemClock clock;
  int64_t deadline_ms = clock.steady_ms() + limit_ms;
  ProgramRun run;
  bool closed = TRY(collect_output(read_end.get(), deadline_ms, run.output));
  auto status = child.wait(closed ? std::max<int64_t>(0, deadline_ms - clock.steady_ms()) : 0);
  run.ok = status && status->ok();
  run.status = status ? status->describe() : "not ended after " + std::to_string(limit_ms / 1000) + " s";
  return run;
}

std::string plain_diff(std::string const& name, std::string_view before, std::string_view after) {
  if (before == after) return "";
  auto old_lines = lines_of(before);
  auto new_lines = lines_of(after);
  size_t shorter = std::min(old_lines.size(), new_lines.size());
  size_t first = 0;
  while (first < shorter && old_lines[first] == new_lines[first]) ++first;
  size_t same = 0;
  while (same < shorter - first &&
         old_lines[old_lines.size() - 1 - same] == new_lines[new_lines.size() - 1 - same])
    ++same;
  std::string result = name + ", line " + std::to_string(first + 1) + ":\n";
  for (size_t i = first; i < old_lines.size() - same; ++i) result += "-" + std::string(old_lines[i]) + "\n";
  for (size_t i = first; i < new_lines.size() - same; ++i) result += "+" + std::string(new_lines[i]) + "\n";
  return result;
}

Result<std::string> tree_diff(std::string const& parent, std::string const& before, std::string const& after,
                              Environment const& environment) {
  if (auto diff = find_program("diff", environment)) {
    ProgramRun run = TRY(run_program(*diff, {"-ruN", before, after}, parent, environment, kDiffLimitMs));
    if (run.status == "exit code 0" || run.status == "exit code 1")
      return tidy_diff(text::to_utf8(run.output));
    return fail(Code::Io,
                "diff of " + parent + "/" + before + " and " + after + ": " + run.status + "\n" + run.output);
  }
  std::string result;
  for (std::string const& name : project_files()) {
    std::string old_text = TRY(io::read_file(parent + "/" + before + "/" + name));
    auto new_text = io::read_file(parent + "/" + after + "/" + name);
    result += plain_diff(name, old_text, new_text ? *new_text : "");
  }
  return text::to_utf8(result);
}

}  // namespace insomnia::cli
