// What people do in a cell goes on as before.
#include <filesystem>

#include "base/io.hh"
#include "base/text.hh"
#include "cell_fixture.hh"

namespace insomnia::e2e {
namespace {

class CellWork : public CellFixture, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    begin(GetParam());
    std::filesystem::remove_all(home.file("in/.git"));
    std::filesystem::remove_all(home.file("in/hard"));
  }
  /// Whether the script ends with status 0; what it printed if not.
  ::testing::AssertionResult works(std::string const& script, std::vector<std::string> const& options = {}) {
    auto ran = in_cell("set -e\n" + script, options);
    if (ran.code == 0) return ::testing::AssertionSuccess();
    return ended_with(0, ran);
  }
  bool has_program(std::string const& name) { return outside("command -v " + name + " > /dev/null").code == 0; }
};

TEST_P(CellWork, GitFromInitToLog) {
  EXPECT_TRUE(works("git init -q . && git config user.name x && git config user.email x@example.invalid && echo a > a && git add a && git commit -qm one\n"
                    "git checkout -qb other && echo b >> a && git commit -qam two && git checkout -q - && git merge -q other\n"
                    "test $(git log --oneline | wc -l) = 2 && git status --porcelain | grep -v '^[?]' | wc -l | grep -qx 0 && git gc -q && git fsck --no-progress"));
}

TEST_P(CellWork, MakeAndACompiler) {
  home.write("in/Makefile", "prog: main.o\n\tg++ -o prog main.o\nmain.o: main.cc\n\tg++ -c main.cc\n");
  home.write("in/main.cc", "#include <iostream>\nint main() { std::cout << \"built\\n\"; }\n");
  give_to_user();
  EXPECT_TRUE(works("make -s && test $(./prog) = built && touch main.cc && make -s"));
}

TEST_P(CellWork, CMake) {
  home.write("in/CMakeLists.txt", "cmake_minimum_required(VERSION 3.20)\nproject(p CXX)\nadd_executable(prog main.cc)\n");
  home.write("in/main.cc", "int main() { return 0; }\n");
  give_to_user();
  EXPECT_TRUE(works("cmake -S . -B b > log 2>&1 || { cat log; exit 1; }\ncmake --build b > log 2>&1 || { cat log; exit 1; }\nb/prog"));
}

TEST_P(CellWork, SanitizersAndDebuggersTrace) {
  home.write("in/main.cc", "#include <cstdlib>\nvoid* kept;\nint main() { kept = std::malloc(10); kept = nullptr; }\n");
  give_to_user();
  auto ran = in_cell("g++ -g -fsanitize=address main.cc -o prog && ./prog");
  EXPECT_TRUE(has(ran.err, "detected memory leaks")) << "what LeakSanitizer found is not hidden";
}

TEST_P(CellWork, PythonWithProcessesAndThreads) {
  home.write("in/p.py", "import multiprocessing, tempfile, threading, subprocess, sqlite3, socket\n"
                        "def square(x): return x * x\n"
                        "if __name__ == '__main__':\n"
                        "  with multiprocessing.Pool(4) as pool: assert pool.map(square, range(10))[3] == 9\n"
                        "  with tempfile.NamedTemporaryFile() as f: f.write(b'x')\n"
                        "  t = threading.Thread(target=lambda: None); t.start(); t.join()\n"
                        "  assert subprocess.check_output(['echo', 'x']) == b'x\\n'\n"
                        "  c = sqlite3.connect('d.db'); c.execute('create table t (a)'); c.commit()\n"
                        "  a, b = socket.socketpair(); a.sendall(b'x'); assert b.recv(1) == b'x'\n"
                        "  import resource, signal, os, pty; pid, fd = pty.fork()\n"
                        "  if pid == 0: os._exit(0)\n"
                        "  os.waitpid(pid, 0)\n  print('fine')\n");
  give_to_user();
  auto ran = in_cell("python3 p.py");
  EXPECT_EQ(ran.out, "fine\n") << ran.err;
}

TEST_P(CellWork, NodeAndNpmOffline) {
  if (!has_program("node") || !has_program("npm")) GTEST_SKIP() << "needs node and npm";
  home.write("in/package.json", R"({"name":"p","version":"1.0.0","scripts":{"test":"node t.js"}})");
  home.write("in/t.js", "const { Worker, isMainThread } = require('worker_threads');\nif (isMainThread) { new Worker(__filename).on('exit', () => console.log('worker ended')); }\n"
                        "require('child_process').execSync('true');\nrequire('os').networkInterfaces();\n");
  give_to_user();
  auto ran = in_cell("npm test --silent");
  EXPECT_TRUE(has(ran.out, "worker ended")) << ran.err;
}

TEST_P(CellWork, ProgramsBelowHomeThatThePathNames) {
  std::string programs = home.path() + "/user/.cargo/bin";
  ASSERT_TRUE(io::make_directories(programs, 0755));
  ASSERT_TRUE(io::replace_file(programs + "/cargo", "#!/bin/sh\nmkdir -p ~/.cargo/registry && echo x > ~/.cargo/registry/x && echo cargo works\n", 0755));
  give_to_user();
  home.environment.set("PATH", programs + ":/usr/local/bin:/usr/bin:/bin");
  auto ran = in_cell("cargo");
  EXPECT_EQ(ran.out, "cargo works\n") << ran.err;
  EXPECT_FALSE(io::exists(home.path() + "/user/.cargo/registry")) << "what it writes is the cell's own";
}

TEST_P(CellWork, ShellsAndTheirHabits) {
  EXPECT_TRUE(works("seq 1 1000 | sort -rn | head -1 | grep -qx 1000\n"
                    "cat <<END > doc\nhere $HOME\nEND\ngrep -q here doc\n"
                    "bash -c 'diff <(echo a) <(echo a)'\n"
                    "bash -c 'set -m; sleep 100 & kill %1; wait %1 || true; sleep 0.01 & fg > /dev/null'\n"
                    "bash -c 'coproc cat; echo x >&${COPROC[1]}; read line <&${COPROC[0]}; test $line = x'\n"
                    "mkfifo pipe; (echo x > pipe) & read line < pipe; test $line = x\n"
                    "test -z \"$SSH_AUTH_SOCK\"; ! ssh-add -l > /dev/null 2>&1\n"
                    "echo x > /dev/null; head -c 10 /dev/urandom > /dev/null; test -c /dev/tty; echo x > /dev/shm/x\n"
                    "df . > /dev/null; id > /dev/null; ps > /dev/null; date > /dev/null; mktemp > /dev/null"));
}

TEST_P(CellWork, NamesInAllLanguages) {
  home.write("in/\xC3\xA4\xE2\x98\x83 with blank\tand\\tab/\xE6\x97\xA5\xE6\x9C\xAC", "x");
  give_to_user();
  EXPECT_TRUE(works("cat *blank*/* | grep -q x && touch '\xC3\xA9\n2' && ls | wc -l"));
  std::string rule = "deny-read:" + home.file("in/\xC3\xA4\xE2\x98\x83 with blank\tand\\tab");
  EXPECT_FALSE(works("cat *blank*/*", {"--scope", "write:.", "--scope", rule}));
}

TEST_P(CellWork, AServerOverLoopback) {
  for (auto const* network : {"full", "none"}) {
    EXPECT_TRUE(works("python3 -c \"import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); open('port', 'w').write(str(s.getsockname()[1])); c, _ = s.accept(); c.sendall(b'hello')\" &\n"
                      "while ! test -s port; do sleep 0.01; done\n"
                      "python3 -c \"import socket; s = socket.create_connection(('127.0.0.1', int(open('port').read()))); assert s.recv(10) == b'hello'\"; rm port",
                      {"--network", network}))
        << network;
  }
}

TEST_P(CellWork, AGigabyteOfOutput) {
  auto ran = outside(home.binary + " cell -- sh -c 'head -c 1073741824 /dev/zero' | wc -c");
  EXPECT_EQ(text::trim(ran.out), "1073741824") << ran.err;
}

TEST_P(CellWork, ARepositoryOnAnotherFileSystem) {
  std::string other = "/dev/shm/insomnia-work-" + std::to_string(::getpid()) + (GetParam() ? "-u" : "");
  std::filesystem::create_directories(other);
  std::filesystem::permissions(other, std::filesystem::perms::all);
  auto ran = outside("cd " + other + " && " + home.binary + " cell -- sh -c 'git init -q . && echo x > f && git add f && cat f'");
  EXPECT_EQ(ran.out, "x\n") << ran.err;
  std::filesystem::remove_all(other);
}

INSTANTIATE_TEST_SUITE_P(AsRootAndNot, CellWork, ::testing::Bool(), [](auto const& info) { return info.param ? "OrdinaryUser" : "SameUser"; });

}  // namespace
}  // namespace insomnia::e2e
