// What the cell around a Pod's hands costs, against the same hands without one, in the same run:
//   the first tool call, which starts the hands (and builds the cell), a Read and a `bash -c true` afterwards, lending a directory and getting it back
//   with 20 processes in the cell, memory of what idles. Floor: posix_spawn and wait of /bin/true.
// Usage: cell_bench [ROUNDS]
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/io.hh"
#include "cell/hands.hh"
#include "measure.hh"
#include "testing/temp_dir.hh"
#include "tools/process_list.hh"

namespace insomnia::bench {
namespace {

using scope::Permission;

/// Hands in a directory of their own; everything waits on one loop.
class Bench {
 public:
  explicit Bench(bool with_cell) {
    for (auto const* name : {"/work/lent", "/data/home", "/data/tmp", "/spill"}) must(io::make_directories(root_.path() + name));
    must(io::replace_file(work() + "/a.txt", "one line\n"));
    config_.program = INSOMNIA_BINARY;
    config_.start = {.cwd = work(),
                     .spill_dir = root_.path() + "/spill",
                     .environment = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"HOME", "/home/bench"}},
                     .scope = {{{work(), Permission::Write, true}}, {}},
                     .observed = {},
                     .marker = ""};
    config_.stderr_path = root_.path() + "/stderr.log";
    if (with_cell) {
      config_.cell = cell::HandsCell{.start = {.own_files = root_.path() + "/spill",
                                               .masked = {root_.path() + "/data"},
                                               .privates = {{"/tmp", root_.path() + "/data/tmp"}, {"/home/bench", root_.path() + "/data/home"}},
                                               .environment = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}}},
                                     .locks = nullptr,
                                     .kill_on_lend = false};
    }
    begin();
  }
  void begin() {
    hands_.reset();
    hands_ = std::make_unique<cell::Hands>(loop_, config_);
  }
  std::string work() const { return root_.path() + "/work"; }

  double call_ms(std::string const& tool, std::string const& arguments) {
    std::optional<tools::ToolFinished> answer;
    Time start = now();
    hands_->call(++id_, tool, arguments, [&](tools::ToolFinished finished) { answer = std::move(finished); });
    while (!answer) loop_.run_once(1000);
    double took = ms(start, now());
    if (answer->output.is_error) {
      std::printf("failed: %s\n%s\n", answer->output.summary.c_str(), answer->output.content.value_or("").c_str());
      std::exit(1);
    }
    return took;
  }
  double read_ms() { return call_ms("Read", R"({"file_path":")" + work() + R"(/a.txt"})"); }
  double bash_ms(std::string const& command) { return call_ms("Bash", R"({"command":")" + command + R"("})"); }
  double scope_ms(std::vector<scope::ScopeRule> deny) {
    std::optional<Result<void>> done;
    Time start = now();
    hands_->set_scope({config_.start.scope.allow, std::move(deny)}, [&](Result<void> result) { done = std::move(result); });
    while (!done) loop_.run_once(1000);
    must(*done);
    return ms(start, now());
  }
  std::vector<scope::ScopeRule> lent() const { return {{work() + "/lent", Permission::Write, true}}; }

  template <class T>
  static void must(T const& result) {
    if (result) return;
    std::printf("failed: %s\n", result.error().message.c_str());
    std::exit(1);
  }

 private:
  testing::TempDir root_;
  SystemClock clock_;
  loop::EventLoop loop_{clock_};
  cell::HandsConfig config_;
  std::unique_ptr<cell::Hands> hands_;
  uint64_t id_ = 0;
};

void measure(int rounds) {
  for (bool with_cell : {false, true}) {
    std::string where = with_cell ? ", with a cell" : ", without";
    Bench bench(with_cell);
    Samples first, read, bash;
    for (int i = 0; i < rounds; ++i) {
      bench.begin();
      first.add(bench.read_ms());
    }
    for (int i = 0; i < rounds * 5; ++i) {
      read.add(bench.read_ms());
      bash.add(bench.bash_ms("true"));
    }
    print("first Read, which starts the hands" + where, first);
    print("a further Read" + where, read);
    print("a further `bash -c true`" + where, bash);
    if (!with_cell) continue;
    for (int processes : {0, 20}) {
      bench.begin();
      bench.bash_ms("cd /; for i in $(seq 1 " + std::to_string(processes) + "); do sleep 1000 > /dev/null 2>&1 & done; true");
      Samples lend, give_back;
      for (int i = 0; i < rounds; ++i) {
        lend.add(bench.scope_ms(bench.lent()));
        give_back.add(bench.scope_ms({}));
      }
      print("a lend, " + std::to_string(processes) + " processes in the cell", lend);
      print("its return", give_back);
    }
    bench.begin();
    bench.read_ms();
    for (auto const& process : tools::descendants(::getpid())) {
      Cost cost = cost_of(process.pid);
      std::printf("%-24s private %6.0f KiB   own %6.0f KiB   PSS %6.0f KiB\n", tools::command_of(process.pid).c_str() , cost.private_kib, cost.own_kib, cost.pss_kib);
    }
  }
}

}  // namespace
}  // namespace insomnia::bench

int main(int argc, char** argv) {
  using namespace insomnia::bench;
  int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  Conditions conditions;
  Samples floor;
  for (int i = 0; i < rounds * 5; ++i) floor.add(spawn_true_ms());
  print("floor: spawn and wait of /bin/true", floor);
  measure(rounds);
  return 0;
}
