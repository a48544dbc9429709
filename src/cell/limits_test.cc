// What the processes of a cell may use: against the kernel.
#include "cell/limits.hh"

#include "cell/cell_fixture_test.hh"

namespace insomnia::cell {
namespace {

class CellLimits : public CellHands {};

TEST_F(CellLimits, AForkBombEndsAndThePodLivesOn) {
  config_.cell->start.limits.processes = 100;
  auto bombed = run("Bash", R"({"command":"bomb() { bomb | bomb & }; bomb; sleep 1000","timeout":2})");
  EXPECT_TRUE(bombed.is_error);
  EXPECT_HAS(bombed.summary, "timed out after 2s");
  EXPECT_TRUE(until([&] { return !bash("true").is_error; })) << "commands can be started again";
  EXPECT_FALSE(run("Write", R"({"file_path":")" + path("x") + R"(","content":"x"})").is_error);
}

TEST_F(CellLimits, ProcessesAreCountedTogether) {
  Limits limits{.processes = 40, .open_files = {}, .cpu_secs = {}, .file_bytes = {}, .memory_bytes = {}};
  if (::geteuid() == 0 && !ControlGroup::make(limits).limits_processes()) GTEST_SKIP() << "as root only a control group counts so exactly, and none can be made here";
  config_.cell->start.limits = limits;
  write("other/many.py", "import subprocess\nrunning = []\ntry:\n  for i in range(200): running.append(subprocess.Popen(['sleep', '100']))\nexcept OSError: pass\nprint(len(running))\nfor p in running: p.kill(); p.wait()\n");
  int count = std::atoi(bash("python3 " + path("other/many.py")).content.value_or("0").c_str());
  EXPECT_GT(count, 10);
  EXPECT_LT(count, 40);
}

TEST_F(CellLimits, OpenFilesProcessorTimeAndSizesAreLimited) {
  config_.cell->start.limits = {.processes = {}, .open_files = 32, .cpu_secs = 1, .file_bytes = 1000, .memory_bytes = {}};
  EXPECT_EQ(bash("ulimit -Hn; ulimit -Ht; ulimit -Hf").content.value_or(""), "32\n1\n0\n");
  EXPECT_TRUE(bash("ulimit -n 64").is_error);
  auto spun = bash("while :; do :; done");
  EXPECT_TRUE(spun.is_error);
  EXPECT_HAS(spun.summary, "signal");
  EXPECT_TRUE(bash("head -c 5000 /dev/zero > large").is_error);
}

TEST_F(CellLimits, AMemoryHogIsKilledAlone) {
  Limits limits{.processes = {}, .open_files = {}, .cpu_secs = {}, .file_bytes = {}, .memory_bytes = 200u << 20};
  if (!ControlGroup::make(limits).limits_memory()) GTEST_SKIP() << "no control group can be made here";
  config_.cell->start.limits = limits;
  auto output = run("Bash", R"({"command":"python3 -c 'x = bytearray(1 << 30)'; echo $?","timeout":60})");
  EXPECT_HAS(output.content.value_or(""), "137");
  EXPECT_FALSE(bash("true").is_error) << "the Pod lives on";
}

TEST_F(CellLimits, NoCoreIsDumped) { EXPECT_EQ(bash("ulimit -Hc").content.value_or(""), "0\n"); }

}  // namespace
}  // namespace insomnia::cell
