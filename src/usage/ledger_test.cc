#include "usage/ledger.hh"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.hh"
#include "usage/price.hh"

namespace insomnia::usage {
namespace {

using manifest::Account;
using manifest::Budget;

TEST(Price, EveryKindOfTokenHasItsOwn) {
  llm::Price price{.input = 3, .output = 15, .cache_read = 0.3, .cache_write = 3.75};
  EXPECT_EQ(cost_of(price, {.input_tokens = 1'000, .output_tokens = 100, .cache_read_input_tokens = 600, .cache_creation_input_tokens = 300}), 100 * 3'000 + 600 * 300 + 300 * 3'750 + 100 * 15'000);
  EXPECT_EQ(cost_of(price, {}), 0);
  EXPECT_EQ(cost_of(std::nullopt, {.input_tokens = 1}), std::nullopt);
  EXPECT_EQ(most_of(price, 1'000, 100), 1'000 * 3'750 + 100 * 15'000);
  price.long_above = 500;
  price.long_input = 6;
  price.long_output = 30;
  price.long_cache_read = 0.6;
  price.long_cache_write = 7.5;
  EXPECT_EQ(cost_of(price, {.input_tokens = 501, .output_tokens = 1}), 501 * 6'000 + 30'000);
  EXPECT_EQ(cost_of(price, {.input_tokens = 500, .output_tokens = 1}), 500 * 3'000 + 15'000);
  EXPECT_EQ(most_of(price, 501, 1), 501 * 7'500 + 30'000);
}

class LedgerTest : public testing::Test {
 protected:
  LedgerTest() {
    char name[] = "/tmp/insomnia-usage-XXXXXX";
    directory = ::mkdtemp(name);
    ledger = *Ledger::open(path());
  }
  ~LedgerTest() override {
    ledger.reset();
    (void)io::remove_tree(directory);
  }
  std::string path() const { return directory + "/data/usage.db"; }
  static Account account(std::string name, Budget budget = {}) { return {name + "-id", name, 1'000, budget}; }
  Demand demand(std::vector<Account> payers, uint64_t input, uint64_t output, std::optional<Nanodollars> cost = 0) {
    return {.id = "call-" + std::to_string(++calls), .payers = std::move(payers), .provider = "p", .model = "m", .gate = "p", .input_tokens = input, .output_tokens = output, .cost = cost};
  }
  std::string refused(Demand const& wanted, int64_t now = 5'000) {
    auto admitted = ledger->admit(wanted, now, 0);
    return admitted ? "" : admitted.error().message;
  }

  std::string directory;
  std::unique_ptr<Ledger> ledger;
  int calls = 0;
};

TEST_F(LedgerTest, WhatACallCouldTakeIsChargedUntilItsEndIsKnown) {
  std::vector<Account> payers{account("root", {1'000, {}, {}}), account("kid")};
  Demand first = demand(payers, 100, 500);
  EXPECT_EQ(refused(first), "");
  EXPECT_EQ(refused(demand(payers, 100, 500)),
            "the budget of Pod `root` has no room for another call: 600 of 1000 tokens are spent or promised to calls under way, and this call could take 600");
  auto left = ledger->settle({.id = first.id, .usage = {.input_tokens = 90, .output_tokens = 10}, .cost = 7, .failed = false}, payers);
  ASSERT_TRUE(left);
  EXPECT_EQ(left->tokens, 900u);
  EXPECT_EQ(left->cost, std::nullopt);
  EXPECT_EQ(refused(demand(payers, 100, 500)), "");
  ASSERT_TRUE(ledger->settle({.id = first.id, .usage = {.input_tokens = 1'000'000}}, payers)) << "a second end changes nothing";
  EXPECT_EQ(ledger->settle({}, payers)->tokens, 300u) << "the second call has not ended: it may be that its Pod is dead";
}

TEST_F(LedgerTest, EveryoneAboveIsChargedAndKeepsItsOwnBudget) {
  Account root = account("root", {10'000, {}, {}}), middle = account("middle", {500, {}, {}}), kid = account("kid"), other = account("other");
  EXPECT_EQ(refused(demand({root, middle, kid}, 400, 50)), "");
  EXPECT_TRUE(refused(demand({root, middle, kid}, 100, 0)).starts_with("the budget of Pod `middle` "));
  EXPECT_EQ(refused(demand({root, other}, 5'000, 0)), "") << "beside it is room";
  EXPECT_TRUE(refused(demand({root, other}, 5'000, 0)).starts_with("the budget of Pod `root` "));
}

TEST_F(LedgerTest, MoneyNeedsAPrice) {
  Account root = account("root", {{}, 0.5, {}});
  EXPECT_EQ(refused(demand({root}, 1, 1, 400'000'000)), "");
  EXPECT_EQ(refused(demand({root}, 1, 1, 200'000'000)), "the budget of Pod `root` has no room for another call: $0.4000 of $0.5000 are spent or promised to calls under way, and this call could cost $0.2000");
  EXPECT_NE(refused(demand({root}, 1, 1, std::nullopt)).find("the price of p/m is not known"), std::string::npos);
  EXPECT_EQ(refused(demand({account("free")}, 1, 1, std::nullopt)), "");
}

TEST_F(LedgerTest, TimeRunsFromTheStart) {
  Account root = account("root", {{}, {}, 10});
  EXPECT_EQ(refused(demand({root}, 1, 1), 10'999), "");
  EXPECT_EQ(refused(demand({root}, 1, 1), 11'000), "the budget of Pod `root` is used up: its 10 s are over");
}

TEST_F(LedgerTest, RowsAreGroupedAndOpenCallsCountWithAllTheyCouldCost) {
  Account root = account("root"), kid = account("kid");
  Demand one = demand({root, kid}, 100, 100, 5);
  ASSERT_EQ(refused(one), "");
  ASSERT_TRUE(ledger->settle({.id = one.id, .usage = {.input_tokens = 80, .output_tokens = 20, .cache_read_input_tokens = 50}, .cost = 3, .failed = false}, {}));
  ASSERT_EQ(refused(demand({root}, 10, 5, 2), 9'000), "");
  auto pods = ledger->rows(GroupBy::Pod, 0);
  ASSERT_TRUE(pods) << pods.error().message;
  ASSERT_EQ(pods->size(), 2u);
  EXPECT_EQ((*pods)[0].key, "kid");
  EXPECT_EQ((*pods)[0].input, 80u);
  EXPECT_EQ((*pods)[0].cache_read, 50u);
  EXPECT_EQ((*pods)[0].cost, 3);
  EXPECT_EQ((*pods)[0].unknown, 0u);
  EXPECT_EQ((*pods)[1].input, 15u);
  EXPECT_EQ((*pods)[1].unknown, 1u);
  auto tree = ledger->rows(GroupBy::Tree, 0);
  ASSERT_EQ(tree->size(), 1u);
  EXPECT_EQ((*tree)[0].key, "root");
  EXPECT_EQ((*tree)[0].calls, 2u);
  EXPECT_EQ(ledger->rows(GroupBy::Model, 8'000)->at(0).calls, 1u) << "since";
  EXPECT_EQ(ledger->rows(GroupBy::Day, 0)->size(), 1u);
}

TEST_F(LedgerTest, ManyProcessesNeverExceedTheBudgetWhateverKillsThem) {
  Account root = account("root", {10'000, {}, {}});
  ledger.reset();
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    pid_t pid = ::fork();
    if (pid == 0) {
      auto own = Ledger::open(path());
      if (!own) ::_exit(1);
      for (int call = 0; call < 60; ++call) {
        Demand wanted = demand({root, account("kid" + std::to_string(i))}, 100, 100);
        wanted.id += "-" + std::to_string(i);
        if (!(*own)->admit(wanted, 5'000, 0)) continue;
        if (i == 3 && call == 5) ::kill(::getpid(), SIGKILL);
        if (!(*own)->settle({.id = wanted.id, .usage = {.input_tokens = 100, .output_tokens = 50}}, {})) ::_exit(2);
      }
      ::_exit(0);
    }
    children.push_back(pid);
  }
  for (pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  }
  ledger = *Ledger::open(path());
  uint64_t left = *ledger->settle({}, {root})->tokens;
  EXPECT_LT(left, 200u) << "it was used as far as it goes";
  uint64_t spent = 0;
  auto rows = *ledger->rows(GroupBy::Pod, 0);
  for (auto const& row : rows) spent += row.input + row.output;
  EXPECT_EQ(spent + left, 10'000u) << "and not one token further";
}

TEST_F(LedgerTest, AGateThatWasNeverClosedCostsNothing) {
  EXPECT_EQ(ledger->admit(demand({}, 1, 1), 5'000, 0.9)->due_ms, 5'000);
  ASSERT_TRUE(ledger->report("p", {}, 5'000));
  EXPECT_TRUE(ledger->gates()->empty());
}

TEST_F(LedgerTest, ARefusalClosesTheGateForAllAndSpacesThemAfterwards) {
  ASSERT_TRUE(ledger->report("p", {.limited = true, .wait_ms = 3'000}, 10'000));
  std::vector<int64_t> due;
  for (int i = 0; i < 4; ++i) due.push_back(ledger->admit(demand({}, 1, 1), 10'100, 0)->due_ms);
  EXPECT_EQ(due, (std::vector<int64_t>{13'000, 13'100, 13'200, 13'300})) << "in their order, none at once";
  EXPECT_EQ(ledger->blocked_until("p"), 13'000);
  auto gate = ledger->gates()->at(0);
  EXPECT_EQ(gate.refusals, 1u);
  EXPECT_EQ(gate.spacing_ms, 100);
  EXPECT_EQ(ledger->admit_again("other", 10'100, 0)->due_ms, 10'100) << "of another provider";
  // Successes open it again.
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(ledger->report("p", {}, 20'000));
  EXPECT_EQ(ledger->gates()->at(0).spacing_ms, 0);
  EXPECT_EQ(ledger->admit_again("p", 30'000, 0.9)->due_ms, 30'000);
}

TEST_F(LedgerTest, HeadersCloseItWithoutARefusal) {
  ASSERT_TRUE(ledger->report("p", {.limited = false, .wait_ms = 2'000}, 10'000));
  EXPECT_EQ(ledger->admit_again("p", 10'000, 0)->due_ms, 12'000);
  EXPECT_EQ(ledger->gates()->at(0).refusals, 0u);
}

TEST_F(LedgerTest, AClockThatWasSetBackClosesNothingForEver) {
  ASSERT_TRUE(ledger->report("p", {.limited = true, .wait_ms = 3'000}, 1'000'000'000'000));
  EXPECT_EQ(ledger->admit_again("p", 10'000, 0)->due_ms, 10'000);
}

TEST(GateSpacing, DoublesWithRefusalsAndShrinksWithSuccesses) {
  EXPECT_EQ(spacing_after(0, true), 100);
  EXPECT_EQ(spacing_after(250, true), 500);
  EXPECT_EQ(spacing_after(9'000, true), 10'000);
  EXPECT_EQ(spacing_after(1'000, false), 799);
  EXPECT_EQ(spacing_after(20, false), 0);
  EXPECT_EQ(spacing_after(0, false), 0);
}

TEST_F(LedgerTest, WhatCantBeReadSaysSo) {
  EXPECT_EQ(Ledger::open(directory + "/none.db", true).error().code, Code::NotFound);
  ASSERT_TRUE(io::replace_file(directory + "/bad.db", std::string(4096, 'x')));
  EXPECT_FALSE(Ledger::open(directory + "/bad.db"));
}

}  // namespace
}  // namespace insomnia::usage
