#include <gtest/gtest.h>

#include <mutex>

#include "base/clock.hh"
#include "base/io.hh"
#include "http/client.hh"
#include "llm/catalogue.hh"
#include "testing/anthropic_stream.hh"
#include "testing/fake_llm_server.hh"
#include "testing/temp_dir.hh"
#include "usage/metered_gate.hh"

// Model calls behind the gate that all Pods of a user share.
namespace insomnia::testing {
namespace {

struct OneCall final : llm::CallHandler {
  void on_event(llm::StreamEvent const& event) override { completed = completed || std::holds_alternative<llm::Completed>(event); }
  void on_end(std::optional<llm::CallFailure> result) override {
    ended = true;
    failure = std::move(result);
    if (after) after();
  }
  bool completed = false, ended = false;
  std::optional<llm::CallFailure> failure;
  std::function<void()> after;
  std::unique_ptr<llm::Call> call;
};

class MeteredProvider : public ::testing::Test {
 protected:
  /// A Pod with its own gate and provider.
  struct Pod {
    std::unique_ptr<usage::MeteredGate> gate;
    std::unique_ptr<llm::Provider> provider;
  };
  Pod pod(std::vector<manifest::Account> payers, std::optional<llm::Price> price = std::nullopt) {
    llm::ModelConfig model;
    model.scheme = "anthropic";
    model.provider_id = "p";
    model.model_id = "m";
    model.base_url = server.url();
    model.base_url_is_set = true;
    model.default_max_tokens = 1'000;
    Pod result;
    result.gate = std::make_unique<usage::MeteredGate>(
        loop, worker, usage::MeteredGate::Settings{.path = path, .payers = std::move(payers), .provider = "p", .model = "m", .gate = "p", .price = price, .costs_nothing = false},
        [this](std::string text) { warnings.push_back(std::move(text)); });
    result.provider = *llm::make_provider(model, {.loop = loop, .http = http, .environment = environment, .self_program = "", .config_dir = "", .limits = {}, .gate = result.gate.get()});
    return result;
  }
  void start(Pod& pod, OneCall& call) {
    call.ended = call.completed = false;
    call.failure.reset();
    call.call = pod.provider->call({.system_prompt = "", .items = items, .tools = {}, .config = {}, .cache_anchor = {}, .cache_key = ""}, call);
  }
  void run_until(std::function<bool()> const& done) {
    int64_t end = clock.steady_ms() + 60'000;
    while (!done() && clock.steady_ms() < end) loop.run_once(50);
    EXPECT_TRUE(done());
  }
  static manifest::Account account(std::string name, manifest::Budget budget = {}) { return {name + "-id", name, static_cast<uint64_t>(SystemClock().wall_ms()), budget}; }
  usage::Remaining left(std::vector<manifest::Account> const& payers) { return *(*usage::Ledger::open(path))->settle({}, payers); }

  SystemClock clock;
  loop::EventLoop loop{clock};
  Environment environment;
  http::Client http{loop, environment};
  FakeLlmServer server;
  loop::Worker worker{loop, "usage"};
  TempDir directory;
  std::string path = directory.path() + "/usage.db";
  std::vector<wire::Item> items{wire::user_message("hi")};
  std::vector<std::string> warnings;
};

TEST_F(MeteredProvider, ACallIsRecordedWithWhatItCost) {
  server.enqueue(text_reply("Hello"));
  Pod one = pod({account("root"), account("kid")}, llm::Price{.input = 3, .output = 15, .cache_read = 0.3, .cache_write = 3.75});
  OneCall call;
  start(one, call);
  run_until([&] { return call.ended; });
  EXPECT_TRUE(call.completed);
  one = {};  // the worker is done
  auto rows = *(*usage::Ledger::open(path))->rows(usage::GroupBy::Model, 0);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].key, "p/m");
  EXPECT_EQ(rows[0].input, 10u);
  EXPECT_EQ(rows[0].output, 5u);
  EXPECT_EQ(rows[0].cost, 10 * 3'000 + 5 * 15'000);
  EXPECT_TRUE(warnings.empty());
}

TEST_F(MeteredProvider, OfFiftyPodsNoneCallsWhileTheGateIsClosedAndAllFinish) {
  std::mutex mutex;
  std::vector<int64_t> arrivals;
  server.answer_all([&](RecordedRequest const&) {
    std::lock_guard lock(mutex);
    arrivals.push_back(SystemClock().wall_ms());
    return arrivals.size() == 1 ? error_reply(429, "rate_limit_error", "slow down", "1") : text_reply("ok");
  });
  std::vector<Pod> pods;
  std::vector<OneCall> calls(50);
  for (int i = 0; i < 50; ++i) pods.push_back(pod({account("pod" + std::to_string(i))}));
  start(pods[0], calls[0]);
  run_until([&] { return calls[0].ended; });
  ASSERT_TRUE(calls[0].failure);
  EXPECT_TRUE(calls[0].failure->retryable);
  int64_t refused_at = arrivals[0];
  // The refusal is in the ledger when the worker has come to it.
  run_until([&] { return !(*usage::Ledger::open(path))->gates()->empty(); });
  for (int i = 0; i < 50; ++i) start(pods[static_cast<size_t>(i)], calls[static_cast<size_t>(i)]);
  run_until([&] { return std::all_of(calls.begin(), calls.end(), [](auto const& call) { return call.ended; }); });
  for (auto const& call : calls) EXPECT_TRUE(call.completed);
  ASSERT_EQ(arrivals.size(), 51u) << "no call was made in vain";
  std::sort(arrivals.begin(), arrivals.end());
  EXPECT_GE(arrivals[1], refused_at + 1'000) << "not before the provider said";
  EXPECT_GE(arrivals[50] - arrivals[1], 2'000) << "one after the other, not at once";
  EXPECT_EQ((*usage::Ledger::open(path))->gates()->at(0).refusals, 1u);
}

TEST_F(MeteredProvider, TwentyChildrenNeverSpendMoreThanTheBudgetOfTheTree) {
  server.answer_all([](RecordedRequest const&) { return text_reply("Hello"); });
  manifest::Account root = account("root", {30'000, {}, {}});
  std::vector<Pod> pods;
  std::vector<OneCall> calls(20);
  for (int i = 0; i < 20; ++i) pods.push_back(pod({root, account("kid" + std::to_string(i))}));
  size_t completed = 0, refused = 0, given_up = 0;
  for (size_t i = 0; i < 20; ++i) {
    calls[i].after = [&, i] {
      completed += calls[i].completed ? 1 : 0;
      bool final = calls[i].failure && !calls[i].failure->retryable;
      if (final) {
        ++refused;
        EXPECT_EQ(calls[i].failure->error.code, Code::LimitReached) << calls[i].failure->error.message;
        EXPECT_EQ(calls[i].failure->api_code, "budget");
        return;
      }
      loop.post([&, i] {
        // Now and then somebody dies in the middle of a call.
        start(pods[i], calls[i]);
        if (completed % 97 != 13) return;
        calls[i].call.reset();
        ++given_up;
        start(pods[i], calls[i]);
      });
    };
    start(pods[i], calls[i]);
  }
  run_until([&] { return refused == 20; });
  uint64_t spent = completed * 15;
  EXPECT_LE(spent, 30'000u);
  EXPECT_GT(spent, 25'000u) << "and it was of use: shorter answers as less is left";
  EXPECT_GT(given_up, 0u);
  pods.clear();
  EXPECT_LE(spent + *left({root}).tokens, 30'000u);
}

TEST_F(MeteredProvider, WithoutALedgerOnlyABudgetStopsCalls) {
  ASSERT_TRUE(io::replace_file(path, std::string(8192, 'x')));
  server.answer_all([](RecordedRequest const&) { return text_reply("Hello"); });
  Pod free = pod({account("free")}), bound = pod({account("bound", {1'000'000, {}, {}})});
  OneCall first, second, third;
  start(free, first);
  run_until([&] { return first.ended; });
  EXPECT_TRUE(first.completed);
  start(free, second);
  run_until([&] { return second.ended; });
  EXPECT_EQ(warnings.size(), 1u) << "said once";
  start(bound, third);
  run_until([&] { return third.ended; });
  ASSERT_TRUE(third.failure);
  EXPECT_NE(third.failure->error.message.find("the budget can't be kept"), std::string::npos) << third.failure->error.message;
  EXPECT_EQ(server.requests().size(), 2u);
}

}  // namespace
}  // namespace insomnia::testing
