#include <sys/stat.h>
#include <unistd.h>

#include "e2e.hh"

namespace insomnia::e2e {
namespace {

/// Wrong command lines and settings: refused before anything starts, with a text that names the thing.
class BadInput : public E2e {
 protected:
  ~BadInput() override {
    EXPECT_TRUE(home.processes().empty());
    EXPECT_TRUE(server.requests().empty()) << "something was sent to the model";
  }
};

TEST_F(BadInput, ManifestErrorsHaveFileLineAndColumn) {
  struct Case {
    std::string text;
    std::string place;
    std::string what;
  };
  for (auto const& [text, place, what] : {Case{"[pod]\nname = \"x\"\n[worker]\nmax_turns = \"many\"\n", ":4:", "worker.max_turns"},
                                          Case{"[pod]\nnmae = \"x\"\n", ":2:", "nmae"}, Case{"[pod\n", ":1:", "bad.toml"},
                                          Case{"[[scope.allow]]\ntarget = \".\"\npermission = \"all\"\n", ":3:", "permission"},
                                          Case{"[model]\nref = \"nowhere/x\"\n", "", "unknown provider `nowhere`"}}) {
    home.write("bad.toml", text);
    auto run = home.run({"run", "Try", "--manifest", "bad.toml"});
    EXPECT_TRUE(ended_with(1, run)) << text;
    EXPECT_TRUE(has(run.err, what));
    EXPECT_TRUE(has(run.err, place.empty() ? what : home.file("bad.toml") + place));
  }
  auto missing = home.run({"run", "Try", "--manifest", "missing.toml"});
  EXPECT_TRUE(ended_with(1, missing));
  EXPECT_TRUE(has(missing.err, home.file("missing.toml")));
}

TEST_F(BadInput, ModelsAndKeysThatAreNotThere) {
  auto provider = home.run({"run", "Try", "--model", "nowhere/model"});
  EXPECT_TRUE(ended_with(1, provider));
  EXPECT_TRUE(has(provider.err, "unknown provider `nowhere`"));
  EXPECT_TRUE(has(provider.err, "anthropic"));
  auto malformed = home.run({"run", "Try", "--model", "model"});
  EXPECT_TRUE(ended_with(2, malformed));
  EXPECT_TRUE(has(malformed.err, "provider/model"));

  home.environment.unset("ANTHROPIC_API_KEY");
  auto nothing = home.run({"run", "Try"});
  EXPECT_TRUE(ended_with(1, nothing));
  for (auto* fragment : {"ANTHROPIC_API_KEY", "INSOMNIA_API_KEY_ANTHROPIC", "insomnia demo"}) EXPECT_TRUE(has(nothing.err, fragment));
  auto chosen = home.run({"run", "Try", "--model", "anthropic/claude-haiku-4-5"});
  EXPECT_TRUE(ended_with(1, chosen));
  EXPECT_TRUE(has(chosen.err, "ANTHROPIC_API_KEY"));
}

TEST_F(BadInput, NamesThatCannotBe) {
  for (std::string const& name : {std::string("../x"), std::string("a/b"), std::string(300, 'a'), std::string("."), std::string("a b"),
                                  std::string("x\ny"), std::string("registry.db")}) {
    auto run = home.run({"run", "Try", "--name=" + name});
    EXPECT_TRUE(ended_with(2, run)) << name;
    EXPECT_TRUE(has(run.err, "invalid Pod name"));
    EXPECT_LT(run.err.size(), 500u);
    for (std::string command : {"stop", "read", "logs"}) EXPECT_TRUE(ended_with(1, home.run({command, name}))) << command << " " << name;
  }
}

TEST_F(BadInput, TasksThatCannotBe) {
  for (std::string task : {"", "  \n", "-"}) {
    auto run = home.run({"run", task});
    EXPECT_TRUE(run.code == 1 || run.code == 2) << task << run.err;
    EXPECT_TRUE(has(run.err, "the task is empty"));
  }
  EXPECT_TRUE(ended_with(2, home.run({"run"})));
  EXPECT_TRUE(ended_with(2, home.run({"run", "two", "words"})));
  EXPECT_TRUE(ended_with(2, home.run({"rnu", "Try"})));
  EXPECT_TRUE(ended_with(2, home.run({"run", "Try", "--scope", "all:/"})));
}

TEST_F(BadInput, WorkingDirectoriesThatAreNotThere) {
  auto missing = home.run({"run", "Try", "--cwd", "not-there"});
  EXPECT_TRUE(ended_with(1, missing));
  EXPECT_TRUE(has(missing.err, home.file("not-there")));
  home.write("file", "");
  auto file = home.run({"run", "Try", "--cwd", "file"});
  EXPECT_TRUE(ended_with(1, file));
  EXPECT_TRUE(has(file.err, "is not a directory"));

  home.launcher = {"/bin/sh", "-c", "mkdir gone && cd gone && rmdir ../gone && exec \"$@\"", "sh"};
  auto gone = home.run({"run", "Try"});
  EXPECT_TRUE(ended_with(1, gone));
  EXPECT_TRUE(has(gone.err, "current directory"));
}

TEST_F(BadInput, ScopeThatLeavesOutTheWorkingDirectory) {
  home.write("part/file", "");
  auto run = home.run({"run", "Try", "--scope", "write:part"});
  EXPECT_TRUE(ended_with(4, run));
  EXPECT_TRUE(has(run.err, "outside the Pod's scope"));
  EXPECT_TRUE(has(run.err, home.work()));
}

TEST_F(BadInput, SocketPathThatIsTooLong) {
  std::string deep = home.path() + "/" + std::string(100, 'd');
  home.environment.set("INSOMNIA_HOME", deep);
  auto run = home.run({"run", "Try"});
  EXPECT_TRUE(ended_with(1, run));
  EXPECT_TRUE(has(run.err, "INSOMNIA_RUNTIME_DIR"));
  EXPECT_TRUE(has(run.err, "107"));
}

TEST_F(BadInput, NoHome) {
  home.environment.unset("HOME");
  home.environment.unset("INSOMNIA_HOME");
  for (auto const& command : std::vector<std::vector<std::string>>{{"run", "Try"}, {"logs", "x"}}) {
    auto finished = home.run(command);
    EXPECT_TRUE(ended_with(1, finished)) << command.front();
    EXPECT_TRUE(has(finished.err, "INSOMNIA_HOME")) << command.front();
  }
}

/// Refusals that need a Pod that is there.
class BadRequest : public E2e {};

TEST_F(BadRequest, NameAndDirectoryOfALivingPodAreTaken) {
  server.enqueue(text_reply("Ready."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Get ready", "--name", "worker", "--keep"})));
  auto name = home.run({"run", "Try", "--name", "worker"});
  EXPECT_TRUE(ended_with(1, name));
  EXPECT_TRUE(has(name.err, "insomnia send worker"));
  auto scope = home.run({"run", "Try", "--name", "other"});
  EXPECT_TRUE(ended_with(4, scope));
  EXPECT_TRUE(has(scope.err, "is refused"));
  EXPECT_TRUE(has(scope.err, "'worker'"));
  // Reading is shared.
  server.enqueue(text_reply("I only read."));
  EXPECT_TRUE(ended_with(0, home.run({"run", "Read", "--name", "reader", "--scope", "read:."})));
  EXPECT_EQ(home.living(), std::vector<std::string>{"worker"});
  EXPECT_TRUE(ended_with(0, home.run({"stop", "worker"})));
}

TEST_F(BadRequest, UnknownModelIsTheProvidersError) {
  server.enqueue(error_reply(404, "not_found_error", "model: no-such-model"));
  auto run = home.run({"run", "Try", "--model", "anthropic/no-such-model"});
  EXPECT_TRUE(ended_with(1, run));
  EXPECT_TRUE(has(run.err + run.out, "no-such-model"));
  EXPECT_TRUE(has(run.err + run.out, "check the model's id"));
}

TEST_F(BadRequest, StoredPodWhoseDirectoryIsGone) {
  home.write("sub/file", "");
  server.enqueue(text_reply("Ready."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Get ready", "--name", "worker"}, home.file("sub"))));
  ASSERT_TRUE(io::remove_tree(home.file("sub")));
  auto again = home.run({"run", "Go on", "--name", "worker"});
  EXPECT_TRUE(ended_with(1, again));
  EXPECT_TRUE(has(again.err, home.file("sub")));
  EXPECT_TRUE(home.processes().empty());
}

TEST_F(BadRequest, DamagedStateIsNamedAndKept) {
  server.enqueue(text_reply("Ready."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Get ready", "--name", "worker"})));
  std::string file = home.paths().pod_dir("worker") + "/metadata.json";
  ASSERT_TRUE(io::replace_file(file, "{\"pod_name\":"));
  auto again = home.run({"run", "Go on", "--name", "worker"});
  EXPECT_TRUE(ended_with(1, again));
  EXPECT_TRUE(has(again.err, file));
  EXPECT_EQ(io::read_file(file), "{\"pod_name\":");
}

TEST_F(BadRequest, DamagedRegistryIsSetAside) {
  server.enqueue(text_reply("Ready."));
  ASSERT_TRUE(ended_with(0, home.run({"run", "Get ready", "--name", "worker"})));
  ASSERT_TRUE(io::replace_file(home.paths().registry_db(), std::string(8192, 'x')));
  ::unlink((home.paths().registry_db() + "-wal").c_str());
  server.enqueue(text_reply("Still fine."));
  EXPECT_TRUE(ended_with(0, home.run({"run", "Go on", "--name", "worker"})));
}

TEST_F(BadRequest, HomeAloneIsEnough) {
  std::string user_run = "/run/user/" + std::to_string(::geteuid());
  if (io::exists(user_run)) GTEST_SKIP() << user_run << " exists and would be used";
  home.environment.unset("INSOMNIA_HOME");
  server.enqueue(text_reply("At home."));
  EXPECT_TRUE(ended_with(0, home.run({"run", "Try", "--name", "worker"})));
  EXPECT_TRUE(io::exists(home.path() + "/home/.insomnia/run/registry.db"));
  EXPECT_TRUE(io::exists(home.path() + "/home/.insomnia/pods/worker/metadata.json"));
}

}  // namespace
}  // namespace insomnia::e2e
