#include "usage/metered_gate.hh"

#include <malloc.h>

#include <algorithm>
#include <random>

#include "base/uuid.hh"

namespace insomnia::usage {
namespace {

/// An answer shorter than this is not worth a call.
constexpr uint64_t kLeastOutput = 512;
/// A token that streams has about so many bytes; used where the count never came.
constexpr uint64_t kBytesPerToken = 3;
/// No call waits longer for its slot than this before it is looked at again.
constexpr int64_t kLookAgainMs = 60'000;
/// People are told of a wait like this.
constexpr int64_t kWorthSayingMs = 3'000;
constexpr int64_t kIdleMs = 3'000;

bool is_rate_limit(llm::CallFailure const& failure) { return failure.status == 429 || failure.status == 529 || failure.api_code == "overloaded_error" || failure.api_code == "rate_limit_exceeded"; }

}  // namespace

struct MeteredGate::Shared {
  std::string path;
  std::unique_ptr<Ledger> ledger;
  std::minstd_rand random{std::random_device{}()};

  double next_random() { return std::uniform_real_distribution<double>(0, 1)(random); }
  Result<Ledger*> get() {
    if (!ledger) ledger = TRY(Ledger::open(path));
    return ledger.get();
  }
};

/// One call: admitted by the ledger, waiting for its slot, under way.
class MeteredGate::Stay final : public Pass {
 public:
  Stay(MeteredGate& gate, llm::CallDemand demand, std::function<void(std::optional<llm::CallFailure>)> admitted)
      : gate_(gate), demand_(demand), admitted_(std::move(admitted)), id_(uuid7(gate.loop_.clock())), due_(gate.loop_, [this] { slot_has_come(); }) {
    ++gate.stays_;
    gate.idle_.cancel();
    Demand wanted{.id = id_,
                  .payers = gate.settings_.payers,
                  .provider = gate.settings_.provider,
                  .model = gate.settings_.model,
                  .gate = gate.settings_.gate,
                  .input_tokens = demand.input_tokens,
                  .output_tokens = demand.output_tokens,
                  .cost = gate.settings_.costs_nothing ? std::optional<Nanodollars>(0) : most_of(gate.settings_.price, demand.input_tokens, demand.output_tokens)};
    struct Admitted {
      Result<Admission> admission;
      Remaining left;  ///< after a refusal
    };
    gate.worker_.run<Admitted>(
        [shared = gate.shared_, wanted = std::move(wanted), now = gate.loop_.clock().wall_ms()]() -> Admitted {
          auto ledger = shared->get();
          if (!ledger) return {std::unexpected(ledger.error()), {}};
          Admitted result{(*ledger)->admit(wanted, now, shared->next_random()), {}};
          if (result.admission) return result;
          if (auto left = (*ledger)->settle({}, wanted.payers)) result.left = *left;
          return result;
        },
        [this, alive = alive_](Admitted admitted) {
          if (!*alive) return;
          if (!admitted.admission) gate_.remaining_ = admitted.left;
          answered(std::move(admitted.admission));
        });
  }
  ~Stay() override {
    *alive_ = false;
    if (!*gate_alive_) return;
    if (!finished_) gate_.settle(id_, {}, demand_);
    if (--gate_.stays_ == 0) gate_.idle_.start(kIdleMs);
  }

  void finish(llm::CallOutcome outcome) override {
    finished_ = true;
    gate_.settle(id_, std::move(outcome), demand_);
  }

 private:
  void answered(Result<Admission> admission) {
    if (admission) return wait_until(admission->due_ms);
    if (admission.error().code == Code::LimitReached) {
      finished_ = true;  // nothing was charged
      return admitted_(refusal(std::move(admission).error()));
    }
    // The file can't be used.
    finished_ = true;
    if (gate_.is_limited()) {
      Error error = std::move(admission).error();
      return admitted_(llm::CallFailure{.error = {Code::Unavailable, "the budget can't be kept, because " + gate_.settings_.path + " can't be used: " + error.message}});
    }
    if (!std::exchange(gate_.warned_, true)) gate_.warn_("model calls are not recorded: " + admission.error().message);
    admitted_(std::nullopt);
  }

  /// What is left may still be enough for a shorter answer.
  llm::CallFailure refusal(Error error) {
    auto shorter = gate_.output_limit(demand_.input_tokens);
    llm::CallFailure failure{.error = std::move(error), .api_code = "budget"};
    failure.retryable = shorter && *shorter < demand_.output_tokens;
    if (failure.retryable) failure.retry_after_ms = 0;
    return failure;
  }

  void wait_until(int64_t due_ms) {
    int64_t wait = due_ms - gate_.loop_.clock().wall_ms();
    if (wait <= 0 && !waited_) return admitted_(std::nullopt);
    if (!std::exchange(waited_, true) && wait >= kWorthSayingMs) {
      gate_.warn_("calls to " + gate_.settings_.provider + " are limited in their rate: this one waits " + std::to_string((wait + 999) / 1000) + " s (`insomnia providers`)");
    }
    due_.start(std::clamp<int64_t>(wait, 0, kLookAgainMs));
    due_ms_ = due_ms;
  }

  /// The gate may have been closed meanwhile.
  void slot_has_come() {
    int64_t now = gate_.loop_.clock().wall_ms();
    if (now < due_ms_) return wait_until(due_ms_);
    using Again = Result<int64_t>;
    gate_.worker_.run<Again>(
        [shared = gate_.shared_, gate = gate_.settings_.gate, now]() -> Again {
          auto* ledger = TRY(shared->get());
          if (TRY(ledger->blocked_until(gate)) <= now) return 0;
          return TRY(ledger->admit_again(gate, now, shared->next_random())).due_ms;
        },
        [this, alive = alive_](Again again) {
          if (!*alive) return;
          if (!again || *again == 0) admitted_(std::nullopt);
          else wait_until(*again);
        });
  }

  MeteredGate& gate_;
  std::shared_ptr<bool> const gate_alive_ = gate_.alive_;
  llm::CallDemand const demand_;
  std::function<void(std::optional<llm::CallFailure>)> admitted_;
  std::string const id_;
  loop::Timer due_;
  int64_t due_ms_ = 0;
  bool waited_ = false;
  bool finished_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

MeteredGate::MeteredGate(loop::EventLoop& loop, loop::Worker& worker, Settings settings, std::function<void(std::string)> warn)
    : loop_(loop), settings_(std::move(settings)), warn_(std::move(warn)), shared_(std::make_shared<Shared>()), idle_(loop, [this] {
        worker_.run([shared = shared_] {
          shared->ledger.reset();
          ::malloc_trim(0);
        });
      }), worker_(worker) {
  idle_.start(kIdleMs);
  shared_->path = settings_.path;
  worker_.run([shared = shared_] { (void)shared->get(); });  // the first call finds it open
}

MeteredGate::~MeteredGate() {
  *alive_ = false;
  worker_.drain();
}

bool MeteredGate::is_limited() const {
  return std::any_of(settings_.payers.begin(), settings_.payers.end(), [](auto const& payer) { return payer.budget != manifest::Budget{}; });
}

/// By what was left after the last call; what others have taken since is for enter() to find out.
std::optional<uint64_t> MeteredGate::output_limit(uint64_t input_tokens) const {
  std::optional<uint64_t> limit;
  auto at_most = [&](uint64_t tokens) { limit = std::min(limit.value_or(tokens), std::max(tokens, kLeastOutput)); };
  if (remaining_.tokens) at_most(*remaining_.tokens > input_tokens ? *remaining_.tokens - input_tokens : 0);
  if (remaining_.cost && settings_.price) {
    Nanodollars input = *most_of(settings_.price, input_tokens, 0), thousand = *most_of(settings_.price, input_tokens, 1'000) - input;
    if (thousand > 0) at_most(*remaining_.cost > input ? static_cast<uint64_t>((*remaining_.cost - input) * 1'000 / thousand) : 0);
  }
  return limit;
}

std::unique_ptr<llm::CallGate::Pass> MeteredGate::enter(llm::CallDemand demand, std::function<void(std::optional<llm::CallFailure>)> admitted) {
  return std::make_unique<Stay>(*this, demand, std::move(admitted));
}

std::optional<Nanodollars> MeteredGate::price_of(llm::Usage const& usage) const {
  return settings_.costs_nothing ? std::optional<Nanodollars>(0) : cost_of(settings_.price, usage);
}

void MeteredGate::settle(std::string id, llm::CallOutcome outcome, llm::CallDemand const& demand) {
  llm::Usage usage = outcome.usage;
  if (outcome.answered) {
    // An answer that broke off is paid for; what was not counted is taken as large as it can be.
    if (!usage.input_tokens) usage.input_tokens = demand.input_tokens;
    if (!outcome.completed || !usage.output_tokens) usage.output_tokens = std::max(usage.output_tokens.value_or(0), outcome.output_bytes / kBytesPerToken);
  }
  Settlement settlement{.id = std::move(id), .usage = usage, .cost = price_of(usage), .failed = outcome.failure.has_value()};
  GateReport report{.limited = outcome.failure && is_rate_limit(*outcome.failure), .wait_ms = outcome.wait_ms};
  if (report.limited && outcome.failure->retry_after_ms) report.wait_ms = outcome.failure->retry_after_ms;
  bool says_something = outcome.completed || report.limited || report.wait_ms;
  using Settled = Result<Remaining>;
  worker_.run<Settled>(
      [shared = shared_, settlement = std::move(settlement), report, says_something, gate = settings_.gate, payers = settings_.payers, now = loop_.clock().wall_ms()]() -> Settled {
        auto* ledger = TRY(shared->get());
        if (says_something) (void)ledger->report(gate, report, now);
        return ledger->settle(settlement, payers);
      },
      [this, alive = alive_](Settled left) {
        if (*alive && left) remaining_ = *left;
      });
}

}  // namespace insomnia::usage
