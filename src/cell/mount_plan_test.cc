#include "cell/mount_plan.hh"

#include <gtest/gtest.h>

#include "base/text.hh"
#include "cell/machine_test.hh"

namespace insomnia::cell {
namespace {

/// The four directories of settings at each rule's target are in every plan; here they are left out, but for the pins that they cause.
std::string plan(PlanRequest const& wanted, std::string_view machine) {
  auto planned = plan_mounts(wanted, Machine(machine));
  if (!planned) return planned.error().message;
  auto is_setting = [](std::string const& path) {
    for (auto name : {"/.insomnia", "/.claude", "/.codex", "/.vscode"}) {
      if (path.ends_with(name)) return true;
    }
    return false;
  };
  std::erase_if(planned->steps, [&](MountStep const& step) { return step.kind == MountStep::Kind::MaskDirectory && is_setting(step.path); });
  std::erase_if(planned->placeholders, is_setting);
  return describe(*planned);
}

TEST(MountPlan, RulesBecomeMountsInOrder) {
  struct Case {
    std::string_view what;
    PlanRequest wanted;
    std::string_view machine, expected;
  };
  for (auto const& example : std::initializer_list<Case>{
           {"a directory to write", request({write("/w/app")}), "/w/app/", "dir       /w\nrw        /w/app\n"},
           {"a file to write", request({write("/w/app/f")}), "/w/app/f", "dir       /w\ndir       /w/app\nrw        /w/app/f\n"},
           {"a part to write of what is read", request({read("/w"), write("/w/src")}), "/w/src/", "ro        /w\nrw        /w/src\n"},
           {"a rule within a rule says nothing new", request({write("/w"), read("/w/src"), write("/w/src/x")}), "/w/src/x/",
            "rw        /w\npin       /w/src\npin       /w/src/x\n"},
           {"what is lent is read", request({write("/w")}, {write("/w/lent")}), "/w/lent/", "rw        /w\nro        /w/lent\n"},
           {"what is denied is not seen", request({write("/w")}, {read("/w/secret"), read("/w/key")}), "/w/secret/ /w/key",
            "rw        /w\nmask-file /w/key\nmask-dir  /w/secret\n"},
           {"a deny outside of all rules", request({write("/w")}, {read("/v/secret")}), "/w/ /v/secret/", "rw        /w\n"},
           {"a deny of all", request({write("/w")}, {read("/w")}), "/w/", ""},
           {"a missing target", request({write("/w"), read("/gone")}), "/w/", "rw        /w\n"},
           {"a missing path that is denied is occupied", request({write("/w")}, {write("/w/a/b")}), "/w/",
            "rw        /w\nmask-dir  /w/a\nmade      /w/a\n"},
           {"two of them below one", request({write("/w")}, {write("/w/a/b"), write("/w/a/c")}), "/w/",
            "rw        /w\nmask-dir  /w/a\nmade      /w/a\n"},
           {"where nothing is written nothing is occupied", request({read("/w")}, {read("/w/a")}), "/w/", "ro        /w\n"},
           {"names sort by components", request({write("/w/a"), write("/w/a-b"), write("/w/a/c")}), "/w/a/c/ /w/a-b/",
            "dir       /w\nrw        /w/a\nrw        /w/a-b\npin       /w/a/c\n"},
           {"what every cell has of its own", request({read("/proc"), write("/dev"), read("/sys/kernel"), write("/dev/shm/w")}), "/proc/ /dev/shm/w/ /sys/kernel/",
            "dir       /dev\ndir       /dev/shm\nrw        /dev/shm/w\n"},
           {"the whole machine", request({write("/")}, {write("/usr")}), "/usr/ /w/", "rw        /\nro        /usr\n"},
       }) {
    EXPECT_EQ(plan(example.wanted, example.machine), example.expected) << example.what;
  }
}

TEST(MountPlan, ARuleThatIsNotRecursiveEndsAtTheDirectoriesBelow) {
  EXPECT_EQ(plan(request({read("/w", false)}), "/w/f /w/sub/deep/"), "ro        /w\nmask-dir  /w/sub\n");
  EXPECT_EQ(plan(request({write("/w", false)}), "/w/f /w/sub/"), "ro        /w\nmask-dir  /w/sub\ntools-rw  /w\n");
  EXPECT_EQ(plan(request({read("/w", false), write("/w/sub")}), "/w/sub/ /w/other/"), "ro        /w\nmask-dir  /w/other\nrw        /w/sub\n");
  EXPECT_EQ(plan(request({write("/w")}, {write("/w/sub", false)}), "/w/sub/deep/"), "rw        /w\nro        /w/sub\nrw        /w/sub/deep\n");
  Machine machine("/w/sub/");
  machine.unreadable = "/w";
  EXPECT_EQ(plan_mounts(request({read("/w", false)}), machine).error().code, Code::PermissionDenied) << "what is below it could not be hidden";
}

TEST(MountPlan, ProtectedPlacesAreReadOnlyUnlessARuleOpensThem) {
  EXPECT_EQ(plan(request({write("/w")}), "/w/.git/hooks/x /w/.git/config /w/.git/HEAD /w/.claude/"),
            "rw        /w\nro        /w/.claude\nro        /w/.git/config\nro        /w/.git/hooks\npin       /w/.git\n");
  EXPECT_EQ(plan(request({write("/w"), write("/w/.claude")}), "/w/.claude/"), "rw        /w\npin       /w/.claude\n");
  EXPECT_EQ(plan(request({write("/w")}), "/w/.git"), "rw        /w\nro        /w/.git\n") << "of a working tree";
  EXPECT_EQ(plan(request({write("/w")}), "/w/.git/HEAD"), "rw        /w\nmask-dir  /w/.git/hooks\npin       /w/.git\nmade      /w/.git/hooks\n");
  EXPECT_EQ(plan(request({write("/w")}), "/w/"), "rw        /w\n") << "a repository may be made";
  EXPECT_EQ(plan(request({read("/w")}), "/w/.git/hooks/x"), "ro        /w\n");
}

TEST(MountPlan, MissingSettingsAreOccupied) {
  auto planned = plan_mounts(request({write("/w")}), Machine("/w/.vscode/"));
  ASSERT_TRUE(planned);
  EXPECT_EQ(planned->placeholders, (std::vector<std::string>{"/w/.claude", "/w/.codex", "/w/.insomnia"}));
}

TEST(MountPlan, EveryCellHasTheSystemAndItsOwnHomeAndTmp) {
  auto wanted = request({write("/home/u/app"), write("/tmp/job")});
  wanted.system = {"/usr", "/bin", "/etc", "/lib32"};
  wanted.also_readable = {"/home/u/.cargo/bin"};
  wanted.masked = {"/etc/shadow", "/etc/ssh/keys"};
  wanted.privates = {{"/tmp", "/d/tmp"}, {"/home/u", "/d/home"}};
  wanted.own_files = "/run/u/pod/spill";
  EXPECT_EQ(plan(wanted, "/usr/ /bin->usr/bin /etc/shadow /etc/passwd /etc/ssh/ /home/u/app/ /home/u/.cargo/bin/ /home/u/.ssh/ /tmp/job/ /run/u/pod/spill/"),
            "link      /bin <- usr/bin\n"
            "ro        /etc\n"
            "mask-file /etc/shadow\n"
            "dir       /home\n"
            "private   /home/u <- /d/home\n"
            "ro        /home/u/.cargo/bin\n"
            "rw        /home/u/app\n"
            "dir       /run\n"
            "dir       /run/u\n"
            "dir       /run/u/pod\n"
            "ro        /run/u/pod/spill\n"
            "private   /tmp <- /d/tmp\n"
            "rw        /tmp/job\n"
            "ro        /usr\n"
            "pin       /home/u/.cargo\n");
}

TEST(MountPlan, AScopeThatHasHomeShowsTheRealOneWithoutItsSecrets) {
  auto wanted = request({write("/home/u")}, {read("/home/u/.data")});
  wanted.masked = {"/home/u/.ssh/id"};
  wanted.privates = {{"/home/u", "/d/home"}};
  EXPECT_EQ(plan(wanted, "/home/u/.data/pods/ /home/u/.ssh/id /home/u/.ssh/config"),
            "dir       /home\nrw        /home/u\nmask-dir  /home/u/.data\nmask-file /home/u/.ssh/id\npin       /home/u/.ssh\n");
}

}  // namespace
}  // namespace insomnia::cell
