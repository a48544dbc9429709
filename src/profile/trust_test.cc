#include "profile/trust.hh"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <thread>

#include "base/io.hh"

namespace insomnia::profile {
namespace {

class Trust : public ::testing::Test {
 protected:
  Trust() {
    char name[] = "/tmp/insomnia-trust-XXXXXX";
    root_ = ::mkdtemp(name);
    paths_.data_dir = root_ + "/data";
  }
  ~Trust() override { (void)std::system(("rm -rf '" + root_ + "'").c_str()); }
  bool trusts(std::string const& project, std::vector<LuaChunk> const& sources) { return TrustStore::load(paths_).value().trusts(project, sources); }

  std::string root_;
  Paths paths_;
  LuaChunk const a_{"/w/a.lua", "return {}"}, b_{"/w/b.lua", "return 1"};
};

TEST_F(Trust, HoldsForTheFilesAsTheyWere) {
  EXPECT_FALSE(trusts("/w", {a_}));
  ASSERT_TRUE(TrustStore::grant(paths_, "/w", {a_, b_}, 5));
  EXPECT_TRUE(trusts("/w", {a_}));
  EXPECT_TRUE(trusts("/w", {a_, b_}));
  EXPECT_FALSE(trusts("/w", {a_, {"/w/b.lua", "return 2"}})) << "changed";
  EXPECT_FALSE(trusts("/w", {a_, {"/w/c.lua", ""}})) << "new";
  EXPECT_FALSE(trusts("/other", {a_})) << "another project";
  EXPECT_FALSE(trusts("/w", {})) << "nothing is not trusted";
  EXPECT_EQ(TrustStore::load(paths_)->projects().at("/w").granted_at_ms, 5);
}

TEST_F(Trust, ANewWordReplacesTheOldOneAndOneCanBeTakenBack) {
  ASSERT_TRUE(TrustStore::grant(paths_, "/w", {a_}, 5));
  ASSERT_TRUE(TrustStore::grant(paths_, "/v", {a_}, 5));
  ASSERT_TRUE(TrustStore::grant(paths_, "/w", {b_}, 6));
  EXPECT_FALSE(trusts("/w", {a_}));
  EXPECT_TRUE(trusts("/w", {b_}));
  EXPECT_TRUE(TrustStore::revoke(paths_, "/w").value());
  EXPECT_FALSE(TrustStore::revoke(paths_, "/w").value());
  EXPECT_FALSE(trusts("/w", {b_}));
  EXPECT_TRUE(trusts("/v", {a_}));
}

TEST_F(Trust, TheFileIsTheUsersAlone) {
  ASSERT_TRUE(TrustStore::grant(paths_, "/w", {a_}, 5));
  struct stat info{};
  ASSERT_EQ(::stat((paths_.data_dir + "/trust.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(Trust, ABrokenFileTrustsNothingAndIsNotOverwritten) {
  ASSERT_TRUE(io::make_directories(paths_.data_dir));
  for (auto const* text : {"", "{", R"({"version":2,"projects":{}})", R"({"version":1,"projects":{"/w":{"granted_at_ms":1,"files":{"/w/a.lua":1}}}})"}) {
    ASSERT_TRUE(io::replace_file(paths_.data_dir + "/trust.json", text));
    auto store = TrustStore::load(paths_);
    ASSERT_FALSE(store) << text;
    EXPECT_NE(store.error().message.find("trust.json can't be understood"), std::string::npos);
    EXPECT_FALSE(TrustStore::grant(paths_, "/w", {a_}, 1));
    EXPECT_EQ(io::read_file(paths_.data_dir + "/trust.json").value(), text);
    EXPECT_FALSE(trust_of(paths_)("/w", {a_}));
  }
}

TEST_F(Trust, TwoAtOnceLoseNothing) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&, i] { EXPECT_TRUE(TrustStore::grant(paths_, "/w" + std::to_string(i), {a_}, i)); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(TrustStore::load(paths_)->projects().size(), 8u);
}

TEST_F(Trust, WithoutADataDirectoryNothingIsTrustedAndGrantingSaysWhatIsMissing) {
  paths_.data_dir.clear();
  EXPECT_FALSE(trusts("/w", {a_}));
  EXPECT_NE(TrustStore::grant(paths_, "/w", {a_}, 1).error().message.find("INSOMNIA_DATA_DIR"), std::string::npos);
}

}  // namespace
}  // namespace insomnia::profile
