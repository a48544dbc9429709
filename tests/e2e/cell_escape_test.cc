// Ways out of a cell. Each is tried outside first, where it must succeed, and then inside, where it must not.
#include <algorithm>
#include <iterator>
#include <ostream>
#include <tuple>

#include "cell/landlock.hh"
#include "cell_fixture.hh"

namespace insomnia::e2e {
namespace {

enum class For {
  Everybody,
  Root,        ///< nobody else could do it anyhow
  NotRoot,     ///< of those who are not root
  WhereItIs,   ///< for everybody, where this machine lets them
  RootWhereItIs,
};

/// A script of sh that prints PROBE when it got through. It begins in the scope; $OUT is the directory outside, $PEER a process outside that stands
/// there and has its file open as descriptor 9, $DISK a disk. `py` runs python with `c` (the C library), `sys` (a system call; an error is an
/// OSError) and `os`.
struct Attempt {
  char const* name;
  For whom;
  char const* script;
  friend std::ostream& operator<<(std::ostream& out, Attempt const& attempt) { return out << attempt.name; }
};

constexpr Attempt kAttempts[] = {
    // Paths.
    {"AbsolutePath", For::Everybody, "cat $OUT/file > /dev/null && echo PROBE"},
    {"AbsolutePathToWrite", For::Everybody, "echo x > $OUT/new && echo PROBE; rm -f $OUT/new"},
    {"RelativePath", For::Everybody, "cat ../out/file > /dev/null && echo PROBE"},
    {"ParentOfASubdirectory", For::Everybody, "mkdir -p d/e && cat d/e/../../../out/file > /dev/null && echo PROBE"},
    {"LinkMadeInside", For::Everybody, "ln -sfn ../out way && cat way/file > /dev/null && echo PROBE"},
    {"LinkToWriteThrough", For::Everybody, "ln -sfn $OUT/made way; echo x > way && test -e $OUT/made && echo PROBE; rm -f $OUT/made"},
    {"LinkThatWasThereBefore", For::Everybody, "cat old-link > /dev/null && echo PROBE"},
    {"HardLink", For::Everybody, "ln $OUT/file hard && echo PROBE; rm -f hard"},
    {"RenameIn", For::Everybody, "mv $OUT/file here && mv here $OUT/file && echo PROBE"},
    {"RenameOut", For::Everybody, "echo x > mine && mv mine $OUT/mine && echo PROBE; rm -f $OUT/mine"},
    {"CopyOver", For::Everybody, "cp file $OUT/copy && echo PROBE; rm -f $OUT/copy"},
    {"Append", For::Everybody, "printf '' >> $OUT/file && echo PROBE"},
    {"Remove", For::Everybody, "cp $OUT/file $OUT/victim && rm $OUT/victim && echo PROBE"},
    {"MakeADirectory", For::Everybody, "mkdir $OUT/d && echo PROBE; rmdir $OUT/d"},
    {"ChangeTheMode", For::Everybody, "chmod 640 $OUT/file && echo PROBE; chmod 644 $OUT/file"},
    {"ChangeTheTime", For::Everybody, "touch $OUT/file && echo PROBE"},
    {"ListTheParent", For::Everybody, "ls .. | grep -q out && echo PROBE"},
    {"EnterTheParent", For::Everybody, "cd .. && ls out > /dev/null && echo PROBE"},
    {"Tar", For::Everybody, "tar cf - -C $OUT . | tar tf - | grep -q file && echo PROBE"},
    {"RealHome", For::Everybody, "test -e $HOME/marker && echo PROBE"},
    {"RealTmp", For::Everybody, "test -e $TOP/marker && echo PROBE"},
    {"KeysOfTheUser", For::Everybody, "cat $HOME/.ssh/id_test $HOME/.netrc $HOME/.aws/credentials > /dev/null && echo PROBE"},
    {"SystemDirectories", For::Root, "touch /usr/insomnia-probe && echo PROBE; rm -f /usr/insomnia-probe"},
    {"SystemSettings", For::Root, "touch /etc/insomnia-probe && echo PROBE; rm -f /etc/insomnia-probe"},
    {"PasswordFile", For::Root, "test -s /etc/shadow && cat /etc/shadow > /dev/null && echo PROBE"},
    {"ProgramsOfTheUser", For::Everybody, "export PATH=$HOME/.local/bin:$PATH; touch $HOME/.local/bin/git && test -e $HOME/.local/bin/marker && echo PROBE; rm -f $HOME/.local/bin/git"},
    // What other programs obey later.
    {"Hook", For::Everybody, "echo x > .git/hooks/pre-commit && rm .git/hooks/pre-commit && echo PROBE"},
    {"GitConfiguration", For::Everybody, "cp .git/config c && git config core.fsmonitor 'touch /tmp/x' && grep -q fsmonitor .git/config && echo PROBE; cp c .git/config"},
    {"GitConfigurationByRename", For::Everybody, "cp .git/config c && echo >> c && mv c .git/config && echo PROBE"},
    {"AnotherGitDirectory", For::Everybody, "mv .git g && mkdir -p .git/hooks && echo x > .git/hooks/pre-commit && echo PROBE; rm -rf .git; mv g .git"},
    {"SettingsOfAgents", For::Everybody, "for d in .claude .codex .insomnia; do mkdir -p $d && echo x > $d/settings.json && rm -r $d || exit 1; done; echo PROBE"},
    {"SettingsOfEditors", For::Everybody, "mkdir -p .vscode && echo x > .vscode/tasks.json && rm -r .vscode && echo PROBE"},
    // /proc and processes.
    {"OwnRootInProc", For::Everybody, "cat /proc/self/root$OUT/file > /dev/null && echo PROBE"},
    {"RootOfTheFirstProcess", For::RootWhereItIs, "cat /proc/1/root$OUT/file > /dev/null && echo PROBE"},
    {"DirectoryOfAProcess", For::Everybody, "cat /proc/$PEER/cwd/file > /dev/null && echo PROBE"},
    {"DescriptorOfAProcess", For::Everybody, "cat /proc/$PEER/fd/9 > /dev/null && echo PROBE"},
    {"RootOfAProcess", For::Everybody, "cat /proc/$PEER/root$OUT/file > /dev/null && echo PROBE"},
    {"EnvironmentOfAProcess", For::Everybody, "tr '\\0' '\\n' < /proc/$PEER/environ | grep -q SOME_API_KEY && echo PROBE"},
    {"EnvironmentOfTheFirstProcess", For::RootWhereItIs, "tr '\\0' '\\n' < /proc/1/environ > /dev/null && echo PROBE"},
    {"SignalToAProcess", For::Everybody, "kill -CONT $PEER && echo PROBE"},
    {"ProcessesOfTheMachine", For::Everybody, "grep -q $PEER_NAME /proc/[0-9]*/comm && echo PROBE"},
    {"PtraceOfAProcess", For::Root, "py \"assert c.ptrace(0x4206, $PEER, 0, 0) == 0; print('PROBE')\""},
    {"MemoryOfAProcess", For::Root, "py \"open('/proc/$PEER/mem', 'rb').close(); print('PROBE')\""},
    {"DescriptorBroughtOver", For::Root, "py \"p = os.pidfd_open($PEER); sys(438, p, 9, 0); print('PROBE')\""},
    {"NamespaceOfAProcess", For::Root, "nsenter -t $PEER -m true && echo PROBE"},
    {"NamespaceOfTheFirstProcess", For::RootWhereItIs, "nsenter -t 1 -m test -e $OUT/file && echo PROBE"},
    {"ScoreOfAProcess", For::Everybody, "echo 900 > /proc/$PEER/oom_score_adj && echo PROBE"},
    // Namespaces and mounts.
    {"UserNamespace", For::WhereItIs, "unshare -Ur true && echo PROBE"},
    {"UnshareAndMount", For::WhereItIs, "mkdir -p m && unshare -Urm sh -c \"mount --bind $OUT m && cat m/file\" > /dev/null && echo PROBE"},
    {"BindMount", For::Root, "mkdir -p m && mount --bind $OUT m && cat m/file > /dev/null && echo PROBE; umount m"},
    {"MountOfAFileSystem", For::Root, "mkdir -p m && mount -t tmpfs none m && echo PROBE; umount m"},
    {"NewMountInterface", For::Root, "py \"sys(430, b'tmpfs', 0); print('PROBE')\""},
    {"CopyOfATree", For::Root, "py \"sys(428, -100, b'/', 1); print('PROBE')\""},
    {"UnmountOfWhatHides", For::Root, "mkdir -p m && mount -t tmpfs none m && umount m && echo PROBE; umount /etc/shadow 2> /dev/null && test -s /etc/shadow && echo PROBE"},
    {"Chroot", For::Root, "chroot / cat $OUT/file > /dev/null && echo PROBE"},
    {"DeviceNode", For::Root, "mknod node c 1 3 && echo x > node && echo PROBE; rm -f node"},
    {"Disk", For::RootWhereItIs, "test -n \"$DISK\" && head -c 1 $DISK > /dev/null && echo PROBE"},
    {"FileByItsHandle", For::Root,
     "py \"import ctypes, struct; h = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128)); m = ctypes.c_int(); sys(303, -100, b'file', h, ctypes.byref(m), 0); d = os.open('.', 0); sys(304, d, h, 0); print('PROBE')\""},
    // The kernel.
    {"CorePattern", For::Root, "v=$(cat /proc/sys/kernel/core_pattern) && echo \"$v\" > /proc/sys/kernel/core_pattern && echo PROBE"},
    {"ModuleLoader", For::RootWhereItIs, "v=$(cat /proc/sys/kernel/modprobe) && echo \"$v\" > /proc/sys/kernel/modprobe && echo PROBE"},
    {"EventHelper", For::RootWhereItIs, "v=$(cat /sys/kernel/uevent_helper) && echo \"$v\" > /sys/kernel/uevent_helper && echo PROBE"},
    {"SystemRequest", For::RootWhereItIs, "echo h > /proc/sysrq-trigger && echo PROBE"},
    {"KernelSetting", For::Root, "v=$(cat /proc/sys/kernel/panic) && echo \"$v\" > /proc/sys/kernel/panic && echo PROBE"},
    {"KernelMemory", For::RootWhereItIs, "test $(head -c 4096 /proc/kcore | wc -c) -gt 0 && echo PROBE"},
    {"KernelLog", For::RootWhereItIs, "dmesg > /dev/null && echo PROBE"},
    {"KernelModule", For::Root, "py \"try: sys(175, b'x', 1, b'')\nexcept OSError as e: print('' if e.errno == 1 else 'PROBE')\""},
    {"Keyring", For::WhereItIs, "py \"sys(248, b'user', b'insomnia-probe', b'x', 1, -3); print('PROBE')\""},
    {"Rings", For::WhereItIs, "py \"import ctypes; sys(425, 1, ctypes.create_string_buffer(128)); print('PROBE')\""},
    {"KernelPrograms", For::RootWhereItIs, "py \"import struct; sys(321, 0, struct.pack('IIII', 2, 4, 4, 1) + bytes(112), 128); print('PROBE')\""},
    {"PerformanceCounters", For::RootWhereItIs, "py \"import struct; sys(298, struct.pack('II', 1, 112) + bytes(104), 0, -1, -1, 0); print('PROBE')\""},
    {"PageFaults", For::RootWhereItIs, "py \"sys(323, 0); print('PROBE')\""},
    {"WatchOfAllFiles", For::RootWhereItIs, "py \"sys(300, 0, 0); print('PROBE')\""},
    {"ControlGroups", For::RootWhereItIs, "for d in /sys/fs/cgroup /sys/fs/cgroup/pids; do mkdir $d/insomnia-probe && rmdir $d/insomnia-probe && echo PROBE; done"},
    {"HostName", For::Root, "py \"import socket; n = socket.gethostname(); socket.sethostname(n); print('PROBE')\""},
    // Privileges.
    {"SetUserIdProgram", For::NotRoot, "test $(./suid-id -u) = 0 && echo PROBE"},
    {"AnotherUser", For::Root, "setpriv --reuid=1 --clear-groups true && echo PROBE"},
    {"AnotherOwner", For::Root, "touch owned && chown 1 owned && echo PROBE"},
    {"RealTimePriority", For::RootWhereItIs, "py \"os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); print('PROBE')\""},
    {"RaisedLimit", For::Root, "ulimit -Hc unlimited && echo PROBE"},
    // Sockets, descriptors, environment.
    {"SocketOfAProcess", For::Everybody, "py \"import socket; s = socket.socket(socket.AF_UNIX); s.connect('$OUT/socket'); print('PROBE')\""},
    {"AbstractSocket", For::Everybody, "py \"import socket; s = socket.socket(socket.AF_UNIX); s.connect('\\0insomnia-probe-$PEER'); print('PROBE')\""},
    {"ControlSocketOfAPod", For::Everybody, "py \"import socket; s = socket.socket(socket.AF_UNIX); s.connect('$INSOMNIA_RUN/other/sock'); print('PROBE')\""},
    {"Registry", For::Everybody, "cat $INSOMNIA_RUN/registry.db > /dev/null && echo PROBE"},
    {"RuntimeDirectoryOfAPod", For::Everybody, "ls $INSOMNIA_RUN/other > /dev/null && echo PROBE"},
    {"SessionsOfPods", For::Everybody, "cat $INSOMNIA_DATA/sessions/log.jsonl > /dev/null && echo PROBE"},
    {"StateOfAPod", For::Everybody, "echo x >> $INSOMNIA_DATA/pods/other/metadata.json && echo PROBE"},
    {"SecretsOfInsomnia", For::Everybody, "cat $INSOMNIA_DATA/config/trust.json > /dev/null && echo PROBE"},
    {"KeyInTheEnvironment", For::Everybody, "test -n \"$SOME_API_KEY\" && echo PROBE"},
    {"AgentInTheEnvironment", For::Everybody, "test -n \"$SSH_AUTH_SOCK\" && echo PROBE"},
    {"DescriptorInheritedByMistake", For::Everybody, "cat <&7 > /dev/null && echo PROBE"},
    {"DirectoryInheritedByMistake", For::Everybody, "cat /proc/self/fd/8/file > /dev/null && echo PROBE"},
    {"SocketsOfPackets", For::RootWhereItIs, "py \"import socket; socket.socket(17, socket.SOCK_RAW, 0); print('PROBE')\""},
    {"RawSockets", For::RootWhereItIs, "py \"import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print('PROBE')\""},
    {"SocketsOfVirtualMachines", For::WhereItIs, "py \"import socket; socket.socket(40, socket.SOCK_STREAM, 0); print('PROBE')\""},
    {"SocketsOfTheKernelsCiphers", For::WhereItIs, "py \"import socket; socket.socket(38, socket.SOCK_SEQPACKET, 0); print('PROBE')\""},
    {"TypingIntoTheTerminal", For::WhereItIs, "py \"import pty, fcntl; a, b = pty.openpty(); os.setsid(); fcntl.ioctl(b, 0x540E, 0); fcntl.ioctl(b, 0x5412, b'x'); print('PROBE')\""},
};

class Escape : public CellFixture, public ::testing::WithParamInterface<std::tuple<Attempt, bool, char const*>> {
 protected:
  Attempt const& attempt() const { return std::get<0>(GetParam()); }
  std::string isolation() const { return std::get<2>(GetParam()); }
  bool where_it_is() const { return attempt().whom == For::WhereItIs || attempt().whom == For::RootWhereItIs; }

  void SetUp() override {
    if (isolation() == "landlock" && cell::landlock_version() < cell::kLandlockFiles) GTEST_SKIP() << "this kernel has no Landlock that is strong enough";
    begin(std::get<1>(GetParam()));
    if (IsSkipped()) return;
    bool of_root = attempt().whom == For::Root || attempt().whom == For::RootWhereItIs;
    if (of_root && !is_root()) GTEST_SKIP() << "only root could do it";
    if (attempt().whom == For::NotRoot && (is_root() || ::geteuid() != 0)) GTEST_SKIP() << "root is root already, or the test can't make such a program";
    for (auto const* path : {"/user/marker", "/user/.ssh/id_test", "/user/.netrc", "/user/.aws/credentials", "/user/.local/bin/marker", "/marker"}) make(home.path() + path);
    Paths paths = home.paths();
    for (auto const& path : {paths.runtime_dir + "/registry.db", paths.runtime_dir + "/other/lock", paths.data_dir + "/sessions/log.jsonl", paths.data_dir + "/pods/other/metadata.json", paths.data_dir + "/config/trust.json"}) make(path);
    ASSERT_EQ(::symlink((home.work() + "/out/file").c_str(), home.file("in/old-link").c_str()), 0);
    home.environment.set("SOME_API_KEY", "k");
    home.environment.set("SSH_AUTH_SOCK", home.path() + "/agent");
    give_to_user();
    if (attempt().whom == For::NotRoot) {
      std::filesystem::copy_file("/usr/bin/id", home.file("in/suid-id"));
      ASSERT_EQ(::chmod(home.file("in/suid-id").c_str(), 04755), 0);
    }
    peer_ = start_outside("exec 9< file; exec python3 -c \"import socket, time, os\n"
                          "a, b, c = (socket.socket(socket.AF_UNIX) for i in range(3))\n"
                          "a.bind('socket'); b.bind('\\0insomnia-probe-%d' % os.getpid()); c.bind('" + paths.runtime_dir + "/other/sock')\n"
                          "for s in (a, b, c): s.listen(100)\n"
                          "open('/proc/self/comm', 'w').write('insomnia-peer')\n"
                          "print('there', flush=True)\ntime.sleep(1000)\"", home.file("out"));
    ASSERT_TRUE(peer_->wait_for_out("there")) << peer_->err();
  }
  static void make(std::string const& path) {
    ASSERT_TRUE(io::make_directories(io::parent_path(path), 0755));
    ASSERT_TRUE(io::replace_file(path, "k\n", 0644));
  }

  std::string script() const {
    std::string disk;
    for (auto const* path : {"/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/xvda"}) {
      if (disk.empty() && ::access(path, R_OK) == 0) disk = path;
    }
    Paths paths = home.paths();
    return "OUT=" + home.file("out") + "; TOP=" + home.path() + "; PEER=" + std::to_string(peer_->pid()) + "; PEER_NAME=insomnia-peer; DISK=" + disk + "; INSOMNIA_RUN=" + paths.runtime_dir +
           "; INSOMNIA_DATA=" + paths.data_dir +
           "\npy() { python3 -c \"import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\ndef sys(*a):\n  r = c.syscall(*a)\n"
           "  if r < 0: raise OSError(ctypes.get_errno(), 'system call')\n  return r\n$1\"; }\n" +
           attempt().script;
  }
  /// With two descriptors that whoever starts it has forgotten to close.
  std::string leaking(std::string const& command) const { return "exec 7< " + home.file("out/file") + "; exec 8< " + home.file("out") + "; " + command; }

  std::unique_ptr<Program> peer_;
};

TEST_P(Escape, SucceedsOutsideAndFailsInside) {
  home.environment.set("SCRIPT", script());
  auto proof = outside(leaking("exec sh -c \"$SCRIPT\""));
  auto inside = outside(leaking("exec " + home.binary + " cell --isolation " + isolation() + " --env SCRIPT -- sh -c \"$SCRIPT\""));
  EXPECT_FALSE(contains(inside.out, "PROBE")) << inside.out << inside.err;
  EXPECT_FALSE(contains(inside.err, "the cell could not be made")) << inside.err;
  EXPECT_EQ(home.read("out/file"), "outside\n");
  EXPECT_EQ(home.read("in/.git/hooks/pre-commit"), "<no file>");
  EXPECT_FALSE(contains(home.read("in/.git/config"), "fsmonitor"));
  bool succeeds = contains(proof.out, "PROBE");
  if (!succeeds && where_it_is()) GTEST_SKIP() << "it fails in the cell, but this machine does not allow it outside either: " << proof.err;
  EXPECT_TRUE(succeeds) << "it would succeed outside:\n" << proof.out << proof.err;
}

/// What Landlock by itself does not hold back (doc/cell.md): the modes and times of files, whether something exists, and names of processes.
constexpr std::string_view kBeyondLandlock[] = {"ChangeTheMode", "ChangeTheTime", "RealTmp", "ProcessesOfTheMachine"};

std::vector<Attempt> attempts_for_landlock() {
  std::vector<Attempt> attempts(std::begin(kAttempts), std::end(kAttempts));
  std::erase_if(attempts, [](Attempt const& attempt) { return std::find(std::begin(kBeyondLandlock), std::end(kBeyondLandlock), attempt.name) != std::end(kBeyondLandlock); });
  return attempts;
}

std::string name_of(::testing::TestParamInfo<std::tuple<Attempt, bool, char const*>> const& info) {
  return std::string(std::get<0>(info.param).name) + (std::get<1>(info.param) ? "AsOrdinaryUser" : "");
}
INSTANTIATE_TEST_SUITE_P(Cell, Escape, ::testing::Combine(::testing::ValuesIn(kAttempts), ::testing::Bool(), ::testing::Values("cell")), &name_of);
INSTANTIATE_TEST_SUITE_P(Landlock, Escape, ::testing::Combine(::testing::ValuesIn(attempts_for_landlock()), ::testing::Bool(), ::testing::Values("landlock")), &name_of);

}  // namespace
}  // namespace insomnia::e2e
