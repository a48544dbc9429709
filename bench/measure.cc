#include "measure.hh"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <tuple>
#include <utility>

#include "base/io.hh"
#include "loop/child.hh"
#include "testing/anthropic_stream.hh"
#include "testing/fake_llm_server.hh"
#include "testing/temp_dir.hh"

namespace insomnia::bench {
namespace {

std::string read_text(std::string const& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The numbers behind `key` in a file of "Key:  number" lines, added up.
double number_of(std::string const& text, std::string const& key) {
  std::istringstream lines(text);
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key)) sum += std::strtod(line.c_str() + key.size(), nullptr);
  }
  return sum;
}

std::vector<std::string> entries(std::string const& directory) {
  return io::list_directory(directory).value_or(std::vector<std::string>{});
}

/// utime and stime of /proc/PID/stat.
uint64_t ticks_of(std::string const& process) {
  std::string stat = read_text(process + "/stat");
  size_t name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(stat.substr(name_end + 2));
  std::string skipped;
  uint64_t user = 0, system = 0;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  fields >> user >> system;
  return user + system;
}

/// What all processors have worked since boot, and what a hypervisor took from them.
std::pair<double, double> processor_seconds() {
  std::istringstream line(read_text("/proc/stat"));
  std::string cpu;
  double user = 0, nice = 0, system = 0, idle = 0, waiting = 0, interrupts = 0, soft = 0, stolen = 0;
  line >> cpu >> user >> nice >> system >> idle >> waiting >> interrupts >> soft >> stolen;
  auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  return {(user + nice + system + interrupts + soft) / ticks, stolen / ticks};
}

/// Of this process and all its children that are reaped.
double own_seconds() {
  double sum = 0;
  for (int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    for (timeval time : {usage.ru_utime, usage.ru_stime}) sum += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  }
  return sum;
}

std::string load() {
  std::string text = read_text("/proc/loadavg");
  return text.substr(0, text.find('\n'));
}

void print_disk_floors(int rounds) {
  testing::TempDir directory;
  std::string line(200, 'x');
  UniqueFd log(::open((directory / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  Samples append, replace;
  for (int i = 0; i < rounds; ++i) {
    Time start = now();
    if (!io::write_all(log.get(), line + "\n", "log") || ::fdatasync(log.get()) != 0) return;
    append.add(ms(start, now()));
    start = now();
    if (!io::write_file_atomic(directory / "letter", line)) return;
    replace.add(ms(start, now()));
  }
  print("floor: one line and fdatasync", append);
  print("floor: file, fsync, rename, fsync of its directory", replace);
}

void print_curl_floor(int rounds) {
  testing::FakeLlmServer server;
  std::atomic<Time> arrived{Time{}};
  server.answer_all([&](testing::RecordedRequest const&) {
    arrived = now();
    return testing::text_reply("done");
  });
  Samples curl;
  for (int i = 0; i < rounds; ++i) {
    Time start = now();
    auto child = loop::Child::start({.program = "/usr/bin/curl",
                                     .argv = {"curl", "-s", "-o", "/dev/null", "-d", "{}", server.url() + "/v1/messages"},
                                     .environment = {}});
    if (!child || !child->wait(10'000)) return;
    curl.add(ms(start, arrived.load()));
  }
  print("floor: start of curl to its request", curl);
}

}  // namespace

double Samples::sum() const {
  double sum = 0;
  for (double value : values_) sum += value;
  return sum;
}

double Samples::quantile(double part) const {
  if (values_.empty()) return 0;
  std::vector<double> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(part * static_cast<double>(sorted.size())))];
}

void print(std::string const& what, Samples const& samples) {
  std::printf("%-62s median %8.2f ms   p99 %8.2f   min %8.2f   max %8.2f   (%zu)\n", what.c_str(), samples.median(), samples.quantile(0.99),
              samples.quantile(0), samples.quantile(1), samples.count());
  std::fflush(stdout);
}

void print_rate(std::string const& what, size_t count, double ms) {
  std::printf("%-62s %10.1f in a second   (%zu in %.0f ms)\n", what.c_str(), static_cast<double>(count) * 1000 / ms, count, ms);
  std::fflush(stdout);
}

Conditions::Conditions() {
  std::tie(busy_s_, stolen_s_) = processor_seconds();
  utsname system{};
  ::uname(&system);
  std::printf("%s %s, %ld processors, %.0f MiB available, load %s\n", system.sysname, system.release, ::sysconf(_SC_NPROCESSORS_ONLN),
              available_mib(), load().c_str());
  std::fflush(stdout);
}

Conditions::~Conditions() {
  auto [busy_s, stolen_s] = processor_seconds();
  double whole_s = ms(start_, now()) / 1000 * static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  double others_s = busy_s - busy_s_ - own_seconds();
  std::printf("others had %.1f %% of the processors meanwhile, %.1f %% were stolen; load %s\n", std::max(0.0, others_s) / whole_s * 100,
              (stolen_s - stolen_s_) / whole_s * 100, load().c_str());
}

double spawn_true_ms() {
  Time start = now();
  auto child = loop::Child::start({.program = "/bin/true", .argv = {"true"}, .environment = {}});
  if (!child) panic(child.error().message);
  child->wait(10'000);
  return ms(start, now());
}

void print_floors(int rounds) {
  Samples spawn;
  for (int i = 0; i < rounds; ++i) spawn.add(spawn_true_ms());
  print("floor: spawn and wait of /bin/true", spawn);
  print_curl_floor(rounds);
  print_disk_floors(rounds);
}

double file_kib(std::string const& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<double>(info.st_size) / 1024 : 0;
}

double available_mib() { return number_of(read_text("/proc/meminfo"), "MemAvailable:") / 1024; }

Cost& Cost::operator+=(Cost const& other) {
  processes += other.processes;
  threads += other.threads;
  descriptors += other.descriptors;
  private_kib += other.private_kib;
  pss_kib += other.pss_kib;
  own_kib += other.own_kib;
  ticks += other.ticks;
  run_ms += other.run_ms;
  wake_ups += other.wake_ups;
  return *this;
}

Cost activity_of(pid_t pid) {
  std::string process = "/proc/" + std::to_string(pid);
  Cost cost;
  auto threads = entries(process + "/task");
  if (threads.empty()) return cost;
  cost.processes = 1;
  cost.threads = threads.size();
  cost.descriptors = entries(process + "/fd").size();
  cost.ticks = ticks_of(process);
  for (auto const& thread : threads) {
    std::istringstream times(read_text(process + "/task/" + thread + "/schedstat"));
    double run_ns = 0, wait_ns = 0;
    uint64_t slices = 0;
    times >> run_ns >> wait_ns >> slices;
    cost.run_ms += run_ns / 1e6;
    cost.wake_ups += slices;
  }
  return cost;
}

std::map<std::string, double> thread_ms(pid_t pid) {
  std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  std::map<std::string, double> result;
  for (auto const& thread : entries(tasks)) {
    std::string name = read_text(tasks + "/" + thread + "/comm");
    std::istringstream times(read_text(tasks + "/" + thread + "/schedstat"));
    double run_ns = 0;
    times >> run_ns;
    result[name.substr(0, name.find('\n'))] += run_ns / 1e6;
  }
  return result;
}

Cost cost_of(pid_t pid) {
  Cost cost = activity_of(pid);
  std::string memory = read_text("/proc/" + std::to_string(pid) + "/smaps_rollup");
  cost.private_kib = number_of(memory, "Private_Clean:") + number_of(memory, "Private_Dirty:");
  cost.own_kib = number_of(memory, "Anonymous:");
  cost.pss_kib = number_of(memory, "Pss:");
  return cost;
}

}  // namespace insomnia::bench
