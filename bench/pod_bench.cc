// Times what a user waits for, against one scripted server on loopback, and the floors of this machine in the same run:
//   start of `insomnia run` to its first request (floor: curl doing the same), one Read call between two requests, the answer with
//   SpawnPod to the child's first request (floor: posix_spawn of /bin/true), a child's end on its disk to the run that it starts on its
//   parent's disk (for sessions of two sizes), memory of idle Pods.
// Usage: pod_bench [ROUNDS [floors|start|read|spawn|message|memory]]
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "base/environment.hh"
#include "base/io.hh"
#include "base/paths.hh"
#include "loop/child.hh"
#include "registry/liveness.hh"
#include "testing/anthropic_stream.hh"
#include "testing/fake_llm_server.hh"
#include "testing/pod_client.hh"

using namespace insomnia;

namespace {

using Time = std::chrono::steady_clock::time_point;
Time now() { return std::chrono::steady_clock::now(); }
double ms(Time from, Time to) { return std::chrono::duration<double, std::milli>(to - from).count(); }

struct Samples {
  std::vector<double> values;
  void add(double value) { values.push_back(value); }
  double median() {
    std::sort(values.begin(), values.end());
    return values.empty() ? 0 : values[values.size() / 2];
  }
  double best() { return values.empty() ? 0 : *std::min_element(values.begin(), values.end()); }
  double worst() { return values.empty() ? 0 : *std::max_element(values.begin(), values.end()); }
};

void print(char const* what, Samples& samples) {
  std::printf("%-58s median %7.2f ms   min %7.2f   max %7.2f   (%zu)\n", what, samples.median(), samples.best(), samples.worst(),
              samples.values.size());
}

/// A fresh home for Pods, removed at the end.
class Home {
 public:
  Home() {
    char path[] = "/tmp/ib-XXXXXX";
    if (::mkdtemp(path) == nullptr) panic("mkdtemp failed");
    root_ = path;
    ::mkdir((root_ + "/w").c_str(), 0700);
    std::ofstream(root_ + "/w/a.txt") << "one\ntwo\nthree\n";
  }
  ~Home() { (void)io::remove_tree(root_); }
  std::string work() const { return root_ + "/w"; }
  Environment environment(std::string const& url) const {
    Environment result = Environment::of_process();
    result.set("INSOMNIA_HOME", root_ + "/i");
    result.set("ANTHROPIC_API_KEY", "fake");
    result.set("ANTHROPIC_BASE_URL", url);
    result.unset("http_proxy");
    result.unset("https_proxy");
    return result;
  }
  Paths paths(std::string const& url) const { return Paths::resolve(environment(url)); }

 private:
  std::string root_;
};

loop::Child insomnia_process(Home const& home, std::string const& url, std::vector<std::string> arguments) {
  std::vector<std::string> argv{"insomnia"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  auto child = loop::Child::start({.program = INSOMNIA_BINARY, .argv = argv, .environment = home.environment(url), .cwd = home.work()});
  if (!child) panic(child.error().message);
  return *std::move(child);
}

void finish(loop::Child& child) {
  auto status = child.wait(30'000);
  if (!status || !status->ok()) std::printf("  (a process did not end well: %s)\n", status ? status->describe().c_str() : "time-out");
}

void bench_floors(int rounds) {
  Samples spawn;
  for (int i = 0; i < rounds; ++i) {
    Time start = now();
    auto child = loop::Child::start({.program = "/bin/true", .argv = {"true"}, .environment = {}});
    if (!child) panic(child.error().message);
    child->wait(10'000);
    spawn.add(ms(start, now()));
  }
  print("floor: spawn and wait of /bin/true", spawn);

  Samples curl;
  testing::FakeLlmServer server;
  std::atomic<Time> arrived{Time{}};
  server.answer_all([&](testing::RecordedRequest const&) {
    arrived = now();
    return testing::text_reply("done");
  });
  for (int i = 0; i < rounds; ++i) {
    Time start = now();
    auto child = loop::Child::start({.program = "/usr/bin/curl", .argv = {"curl", "-s", "-o", "/dev/null", "-d", "{}", server.url() + "/v1/messages"}, .environment = {}});
    if (!child) return;
    child->wait(10'000);
    curl.add(ms(start, arrived.load()));
  }
  print("floor: start of curl to its request", curl);
}

void bench_first_request(int rounds) {
  Samples samples;
  testing::FakeLlmServer server;
  std::atomic<Time> arrived{Time{}};
  server.answer_all([&](testing::RecordedRequest const&) {
    arrived = now();
    return testing::text_reply("done");
  });
  Home home;
  for (int i = 0; i < rounds; ++i) {
    Time start = now();
    auto child = insomnia_process(home, server.url(), {"run", "hello", "--name", "b" + std::to_string(i)});
    finish(child);
    samples.add(ms(start, arrived.load()));
  }
  print("start of `insomnia run` to its first request", samples);
}

void bench_read_call(int calls) {
  Samples samples;
  testing::FakeLlmServer server;
  std::mutex mutex;
  Time answered{};
  int number = 0;
  Home home;
  std::string file = home.work() + "/a.txt";
  server.answer_all([&](testing::RecordedRequest const&) {
    std::lock_guard lock(mutex);
    Time arrived = now();
    if (number > 1) samples.add(ms(answered, arrived));  // the first call also starts the hands
    ++number;
    auto reply = number > calls ? testing::text_reply("done")
                                : testing::tool_reply({{"t" + std::to_string(number), "Read", R"({"file_path":")" + file + R"("})"}});
    answered = now();
    return reply;
  });
  auto child = insomnia_process(home, server.url(), {"run", "read", "--name", "reader"});
  finish(child);
  print("answer with one Read to the next request", samples);
}

void bench_spawn(int rounds) {
  Samples samples;
  testing::FakeLlmServer server;
  std::atomic<Time> answered{Time{}};
  std::atomic<int> number{0};
  Home home;
  server.answer_all([&](testing::RecordedRequest const& request) {
    if (request.body.find("child-task") != std::string::npos && request.body.find("SpawnPod\",\"input\"") == std::string::npos) {
      samples.add(ms(answered.load(), now()));
      return testing::text_reply("child done");
    }
    if (request.body.find("tool_result") != std::string::npos) return testing::text_reply("parent done");
    auto reply = testing::tool_reply({{"s", "SpawnPod",
                                       R"({"name":"kid)" + std::to_string(number++) + R"(","task":"child-task","scope":[{"target":")" +
                                           home.work() + R"(","permission":"write"}]})"}});
    answered = now();
    return reply;
  });
  for (int i = 0; i < rounds; ++i) {
    auto child = insomnia_process(home, server.url(), {"run", "spawn one", "--name", "p" + std::to_string(i)});
    finish(child);
  }
  print("answer with SpawnPod to the child's first request", samples);
}

/// The parent's first message has `padding` bytes, so its session has as many.
void bench_message(int rounds, size_t padding) {
  Samples samples;
  testing::FakeLlmServer server;
  Home home;
  server.answer_all([&](testing::RecordedRequest const& request) {
    std::string_view body = request.body;
    if (body.find("parent-task") == std::string::npos) return testing::text_reply("child done");
    if (body.find("tool_result") != std::string::npos) return testing::text_reply("parent waits");
    return testing::tool_reply({{"s", "SpawnPod",
                                 R"({"name":"kid","task":"child-task","scope":[{"target":")" + home.work() + R"(","permission":"read"}]})"}});
  });
  auto first = insomnia_process(home, server.url(), {"run", "hello parent-task", "--name", "root", "--keep"});
  finish(first);
  Paths paths = home.paths(server.url());
  testing::PodClient root(paths.pod_socket("root"));
  testing::PodClient kid(paths.pod_socket("kid"));
  auto next_end = [](testing::PodClient& client) { return client.wait_for_kind<wire::RunEndEvent>().has_value(); };
  if (!root.wait_for_kind<wire::SnapshotEvent>() || !kid.wait_for_kind<wire::SnapshotEvent>()) panic("no snapshot");
  root.send(wire::RunMethod{wire::text_segments("parent-task " + std::string(padding, 'x'))});
  if (!next_end(root)) panic("the parent's run has no end");
  for (int i = 0; i < rounds; ++i) {
    kid.send(wire::RunMethod{wire::text_segments("go")});
    if (!next_end(kid)) panic("the child's run has no end");
    Time ended = now();
    if (!root.wait_for_kind<wire::InvokeStartEvent>()) panic("the parent was not told");
    samples.add(ms(ended, now()));
    if (!next_end(root)) panic("the parent's run has no end");
  }
  std::string what = "child's end to its parent's run, session of " + std::to_string(padding >> 20) + " MiB";
  print(what.c_str(), samples);
  auto stop = insomnia_process(home, server.url(), {"stop", "root", "--tree"});
  finish(stop);
}

struct Memory {
  double private_kib = 0;
  double pss_kib = 0;
};

Memory memory_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  Memory memory;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key;
    double value = 0;
    words >> key >> value;
    if (key == "Private_Clean:" || key == "Private_Dirty:") memory.private_kib += value;
    if (key == "Pss:") memory.pss_kib += value;
  }
  return memory;
}

void bench_memory(int children) {
  testing::FakeLlmServer server;
  Home home;
  server.answer_all([&](testing::RecordedRequest const& request) {
    if (request.body.find("child-task") != std::string::npos && request.body.find("SpawnPod\",\"input\"") == std::string::npos) {
      return testing::text_reply("child done");
    }
    if (request.body.find("tool_result") != std::string::npos) return testing::text_reply("parent done");
    std::vector<testing::ScriptedCall> calls;
    for (int i = 0; i < children; ++i) {
      std::string directory = home.work() + "/d" + std::to_string(i);
      ::mkdir(directory.c_str(), 0700);
      calls.push_back({"s" + std::to_string(i), "SpawnPod",
                       R"({"name":"kid)" + std::to_string(i) + R"(","task":"child-task","scope":[{"target":")" + directory +
                           R"(","permission":"write"}]})"});
    }
    return testing::tool_reply(calls);
  });
  auto run = insomnia_process(home, server.url(), {"run", "spawn", "--name", "root", "--keep"});
  finish(run);
  Paths paths = home.paths(server.url());
  double total = 0;
  int pods = 0;
  auto names = io::list_directory(paths.runtime_dir);
  for (auto const& name : *names) {
    auto holder = registry::lock_holder(paths.pod_lock(name));
    if (!holder || !*holder) continue;
    Memory memory = memory_of((*holder)->pid);
    if (name == "root" || name == "kid0") std::printf("idle Pod %-6s private %6.0f KiB   PSS %6.0f KiB\n", name.c_str(), memory.private_kib, memory.pss_kib);
    total += memory.pss_kib;
    ++pods;
  }
  std::printf("%d Pods together: PSS %.1f MiB\n", pods, total / 1024);
  auto stop = insomnia_process(home, server.url(), {"stop", "root", "--tree"});
  finish(stop);
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  struct stat info{};
  if (::stat(INSOMNIA_BINARY, &info) == 0) std::printf("binary: %.1f MiB\n", static_cast<double>(info.st_size) / (1 << 20));
  std::string only = argc > 2 ? argv[2] : "";
  auto wanted = [&](char const* name) { return only.empty() || only == name; };
  if (wanted("floors")) bench_floors(rounds);
  if (wanted("start")) bench_first_request(rounds);
  if (wanted("read")) bench_read_call(rounds * 5);
  if (wanted("spawn")) bench_spawn(rounds);
  if (wanted("message")) {
    bench_message(rounds, 1 << 10);
    bench_message(rounds, 10u << 20);
  }
  if (wanted("memory")) bench_memory(8);
  return 0;
}
