#include "pod/runtime_dir.hh"

#include <sys/stat.h>

#include "pod/fixture_test.hh"

namespace insomnia::pod {
namespace {

class RuntimeDir : public PodTest {
 protected:
  Paths elsewhere() {
    Paths other = paths;
    other.runtime_dir = directory / "other";
    return other;
  }
};

TEST_F(RuntimeDir, IsMadePrivate) {
  Paths fresh = elsewhere();
  ASSERT_TRUE(prepare_runtime_dir(fresh));
  struct stat info{};
  ASSERT_EQ(::stat(fresh.runtime_dir.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(RuntimeDir, WithoutOneTheErrorNamesTheVariable) {
  Paths none = paths;
  none.runtime_dir.clear();
  auto result = prepare_runtime_dir(none);
  ASSERT_FALSE(result);
  EXPECT_HAS(result.error().message, "INSOMNIA_RUNTIME_DIR");
}

TEST_F(RuntimeDir, AFileInItsPlaceIsAnError) {
  Paths fresh = elsewhere();
  ASSERT_TRUE(io::replace_file(fresh.runtime_dir, ""));
  auto result = prepare_runtime_dir(fresh);
  ASSERT_FALSE(result);
  EXPECT_HAS(result.error().message, fresh.runtime_dir);
}

TEST_F(RuntimeDir, NetworkFileSystemsAreKnown) {
  for (long type : {0x6969L, 0x517BL, static_cast<long>(0xFF534D42), static_cast<long>(0xFE534D42), 0x00C36400L, 0x0BD00BD0L}) {
    EXPECT_TRUE(is_network_file_system(type)) << type;
  }
  // A 32-bit f_type comes sign-extended.
  EXPECT_TRUE(is_network_file_system(static_cast<int>(0xFF534D42)));
  for (long type : {0xEF53L, 0x01021994L, 0x9123683EL, 0x58465342L, 0x794C7630L}) EXPECT_FALSE(is_network_file_system(type)) << type;
}

TEST_F(RuntimeDir, ASecondOneIsRefusedWhileAPodLivesInTheFirst) {
  ASSERT_TRUE(claim_runtime_dir(paths));
  auto lock = registry::InstanceLock::acquire(paths.pod_lock("resident"), "i");
  ASSERT_TRUE(lock);
  auto refused = claim_runtime_dir(elsewhere());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Conflict);
  for (auto const& part : {std::string("`resident`"), paths.runtime_dir, elsewhere().runtime_dir, std::string("INSOMNIA_RUNTIME_DIR")}) {
    EXPECT_HAS(refused.error().message, part);
  }
  EXPECT_TRUE(claim_runtime_dir(paths)) << "the first one stays the right one";
}

TEST_F(RuntimeDir, ASecondOneIsRefusedAlsoWhenTheFirstHasVanishedUnderThePod) {
  ASSERT_TRUE(claim_runtime_dir(paths));
  auto lock = registry::InstanceLock::acquire(paths.pod_dir("resident") + "/lock", "i");
  ASSERT_TRUE(io::remove_tree(paths.runtime_dir));
  auto refused = claim_runtime_dir(elsewhere());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Conflict);
  EXPECT_HAS(refused.error().message, "`resident`");
  EXPECT_HAS(refused.error().message, paths.runtime_dir);
  EXPECT_TRUE(claim_runtime_dir(paths)) << "the same one, still missing";
  ASSERT_TRUE(prepare_runtime_dir(paths));
  EXPECT_TRUE(claim_runtime_dir(paths)) << "the same one, made again";
  lock = registry::InstanceLock::acquire(directory / "unrelated/lock", "i");
  EXPECT_TRUE(claim_runtime_dir(elsewhere())) << "nobody lives any more";
}

TEST_F(RuntimeDir, ASecondOneTakesOverWhenNobodyLives) {
  ASSERT_TRUE(claim_runtime_dir(paths));
  { auto lock = registry::InstanceLock::acquire(paths.pod_lock("resident"), "i"); }
  EXPECT_TRUE(claim_runtime_dir(elsewhere()));
  auto lock = registry::InstanceLock::acquire(elsewhere().pod_lock("newer"), "i");
  EXPECT_FALSE(claim_runtime_dir(paths)) << "now the other one counts";
}

TEST_F(RuntimeDir, AnotherNameOfTheSameDirectoryIsTheSame) {
  ASSERT_TRUE(claim_runtime_dir(paths));
  auto lock = registry::InstanceLock::acquire(paths.pod_lock("resident"), "i");
  Paths linked = paths;
  linked.runtime_dir = directory.link("linked", paths.runtime_dir);
  auto claimed = claim_runtime_dir(linked);
  EXPECT_TRUE(claimed) << claimed.error().message;
}

TEST_F(RuntimeDir, ADamagedRecordIsWrittenAnew) {
  ASSERT_TRUE(io::make_directories(paths.data_dir));
  for (auto* text : {"", "{", "[]", "{\"runtime_dir\":5}", "{}"}) {
    ASSERT_TRUE(io::replace_file(paths.data_dir + "/runtime.json", text));
    EXPECT_TRUE(claim_runtime_dir(paths)) << text;
  }
}

}  // namespace
}  // namespace insomnia::pod
