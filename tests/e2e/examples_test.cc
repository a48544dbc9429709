// The worked examples: copied, and used as their READMEs say, line by line.
#include <unistd.h>

#include <filesystem>

#include "base/text.hh"
#include "e2e.hh"

namespace insomnia::e2e {
namespace {

class Examples : public E2e {
 protected:
  /// Runs the commands of an example's README in a copy of it. Its output.
  Finished follow(std::string const& example) {
    std::filesystem::copy(std::string(INSOMNIA_SOURCE_DIR) + "/examples/" + example, home.work(), std::filesystem::copy_options::recursive);
    std::filesystem::create_directory(home.file("../bin"));
    EXPECT_EQ(::symlink(home.binary.c_str(), home.file("../bin/insomnia").c_str()), 0);
    home.environment.set("PATH", home.file("../bin") + ":/usr/bin:/bin");
    // No key: the rehearsal model needs none.
    home.environment.unset("ANTHROPIC_API_KEY");
    Program program({.program = "/bin/bash", .arguments = {"-euc", commands()}, .environment = home.environment, .cwd = home.work(), .input = ""});
    auto code = program.wait();
    return {code, program.out(), program.err()};
  }
  std::string commands() const {
    std::string readme = home.read("README.md"), text;
    bool inside = false;
    for (auto line : text::split(readme, '\n')) {
      if (line == "```") inside = !inside;
      else if (inside) text += std::string(line) + "\n";
    }
    EXPECT_FALSE(text.empty());
    return text;
  }
};

TEST_F(Examples, CoderAndReviewer) {
  auto done = follow("coder-and-reviewer");
  ASSERT_TRUE(ended_with(0, done));
  EXPECT_EQ(home.read("src/greet.sh"), "#!/bin/sh\necho \"Hello, ${1:-you}\"\n");
  EXPECT_TRUE(has(done.out, "I have no tool that writes."));
  EXPECT_TRUE(has(done.out, "Changing it was refused by the kernel, as it has to be."));
  EXPECT_TRUE(has(done.out, "Written and reviewed"));
  EXPECT_TRUE(has(done.out, "profiles/common.lua:5")) << "of `profile show`";
  EXPECT_TRUE(server.requests().empty());
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Examples, FanOut) {
  auto done = follow("fan-out");
  ASSERT_TRUE(ended_with(0, done));
  EXPECT_EQ(
      home.read("INDEX.md"),
      "# Notes\n\n- north: The harbour is open again. (2 lines)\n- south: The mill stands still. (3 lines)\n- west: Nothing new in the west. (1 lines)\n");
  EXPECT_TRUE(has(done.out, "3 of 3 pod(s) finished"));
  EXPECT_TRUE(has(done.out, "INDEX.md has a line for each folder."));
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Examples, ReadOnlyOrchestrator) {
  auto done = follow("read-only-orchestrator");
  ASSERT_TRUE(ended_with(0, done));
  EXPECT_TRUE(has(done.out, "delegation_scope = \"workspace_write\""));
  EXPECT_TRUE(has(done.out, "Both were refused. A Pod with `lib` does it."));
  EXPECT_TRUE(has(done.out, "lib/version.txt says 1.1; I have not written a byte."));
  EXPECT_EQ(home.read("lib/version.txt"), "1.1\n");
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(Examples, WithoutTrustTheOrchestratorHandsNothingOut) {
  std::filesystem::copy(std::string(INSOMNIA_SOURCE_DIR) + "/examples/read-only-orchestrator", home.work(), std::filesystem::copy_options::recursive);
  auto run = home.run({"run", "Do what TODO.md says", "--profile", "planner", "--model", "rehearsal/" + home.file("model.lua")});
  ASSERT_TRUE(ended_with(0, run));
  EXPECT_TRUE(has(run.err, "is used without delegation_scope"));
  EXPECT_TRUE(has(run.out, "The Pod could not be started: "));
  EXPECT_EQ(home.read("lib/version.txt"), "1.0\n");
}

}  // namespace
}  // namespace insomnia::e2e
