#include "registry/holdings.hh"

#include <sys/stat.h>

#include "registry/contract_test.hh"

namespace insomnia::registry {
namespace {

class HoldingsTest : public testing::Test {
 protected:
  std::string first() const { return directory_ / "one/holds.json"; }
  std::string second() const { return directory_ / "two/holds.json"; }
  HoldingsTest() {
    directory_.directory("one");
    directory_.directory("two");
  }
  scope::TestDirectory directory_;
  Holdings holdings_{"a-1", {first(), second()}};
};

Holding holding(std::string const& name) {
  Holding result{pod(name, {write_rule("/w/" + name), read_rule("/r", false)}, {write_rule("/w/no")}),
                 {"p-id", "g-id"}};
  result.row.segment_id = "seg-" + name;
  return result;
}

TEST_F(HoldingsTest, AllOfARowIsKept) {
  Holding full = holding("a");
  full.row.state = AllocationState::Reserved;
  full.row.spawner_instance = "s-1";
  full.row.spawner_name = "s";
  full.row.delegated_from = "s-id";
  full.row.task = "100% of it\n\x01 \xc3\xa4\xff";
  full.row.workspace_root = "/w/\xff %2F";
  full.row.socket = "/run/\xc3\xa4";
  full.row.scope_allow.push_back(write_rule("/w/\xff' %_;--"));
  full.row.since_ms = 1795364506507;
  ASSERT_TRUE(holdings_.add(full));
  EXPECT_EQ(read_holdings(first(), "a-1").value(), std::vector<Holding>{full});
  EXPECT_EQ(io::read_file(first()).value(), io::read_file(second()).value());
  struct stat info {};
  ASSERT_EQ(::stat(first().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(HoldingsTest, TheLatestOfAPodCounts) {
  ASSERT_TRUE(holdings_.add(holding("a")));
  ASSERT_TRUE(holdings_.add(holding("b")));
  Holding changed = holding("a");
  changed.row.segment_id = "next";
  ASSERT_TRUE(holdings_.add(changed));
  EXPECT_EQ(read_holdings(first(), "a-1").value(), (std::vector<Holding>{holding("b"), changed}));
  holdings_.remove("b-id", "b-2");
  EXPECT_EQ(holdings_.all().size(), 2u) << "another instance";
  holdings_.remove("b-id", "b-1");
  EXPECT_EQ(read_holdings(first(), "a-1").value(), std::vector<Holding>{changed});
}

TEST_F(HoldingsTest, WhoHoldsNothingLeavesNoFile) {
  ASSERT_TRUE(holdings_.add(holding("a")));
  holdings_.remove("a-id", "a-1");
  EXPECT_FALSE(io::exists(first()));
  EXPECT_FALSE(io::exists(second()));
  EXPECT_EQ(read_holdings(first(), "a-1").value(), std::vector<Holding>{});
}

TEST_F(HoldingsTest, WhatAnEarlierInstanceLeftIsNothing) {
  ASSERT_TRUE(holdings_.add(holding("a")));
  EXPECT_EQ(read_holdings(first(), "a-2").value(), std::vector<Holding>{});
}

TEST_F(HoldingsTest, WhatCannotBeWrittenHasNotChanged) {
  ASSERT_TRUE(holdings_.add(holding("a")));
  ASSERT_TRUE(io::remove_tree(directory_ / "two"));
  EXPECT_TRUE(holdings_.add(holding("b"))) << "the first file counts";
  ASSERT_TRUE(io::remove_tree(directory_ / "one"));
  EXPECT_FALSE(holdings_.add(holding("c")));
  EXPECT_EQ(holdings_.all(), (std::vector<Holding>{holding("a"), holding("b")}));
}

TEST_F(HoldingsTest, MissingFilesAreWrittenAgain) {
  ASSERT_TRUE(holdings_.add(holding("a")));
  ASSERT_EQ(::unlink(second().c_str()), 0);
  ASSERT_TRUE(holdings_.restore());
  EXPECT_EQ(read_holdings(second(), "a-1").value(), std::vector<Holding>{holding("a")});
}

TEST_F(HoldingsTest, DamageNamesTheFile) {
  for (auto text : {"", "{", "[]", "{}", R"({"instance_id":"a-1"})", R"({"instance_id":"a-1","holds":[1]})",
                    R"({"instance_id":"a-1","holds":[{}]})"}) {
    ASSERT_TRUE(io::replace_file(first(), text));
    auto read = read_holdings(first(), "a-1");
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Code::Corrupt);
    EXPECT_NE(read.error().message.find(first()), std::string::npos);
  }
  std::string text = encode_holdings("a-1", {holding("a")});
  for (size_t size = 0; size + 2 < text.size(); ++size) {
    ASSERT_TRUE(io::replace_file(first(), text.substr(0, size)));
    EXPECT_FALSE(read_holdings(first(), "a-1")) << size;
  }
}

}  // namespace
}  // namespace insomnia::registry
