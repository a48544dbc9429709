#pragma once

#include <memory>
#include <string>
#include <vector>

#include "llm/call_gate.hh"
#include "loop/event_loop.hh"
#include "loop/worker.hh"
#include "usage/ledger.hh"

namespace insomnia::usage {

/// The gate of one Pod: its calls are charged to it and all above it, and wait for the slot that all Pods of the user share. The ledger's file is worked on in
/// a thread, and is opened beside the Pod's start. When it can't be used calls go on unrecorded, with one warning; but not those that a budget limits. All on the loop's thread.
class MeteredGate final : public llm::CallGate {
 public:
  struct Settings {
    std::string path;                       ///< of the ledger
    std::vector<manifest::Account> payers;  ///< the Pod itself comes last
    std::string provider, model, gate;
    std::optional<llm::Price> price;
    bool costs_nothing = false;  ///< a local model without a price
  };
  /// `worker` outlives the gate, and may have other work.
  MeteredGate(loop::EventLoop& loop, loop::Worker& worker, Settings settings, std::function<void(std::string)> warn);
  /// Ends when all that was to be recorded is.
  ~MeteredGate() override;

  std::optional<uint64_t> output_limit(uint64_t input_tokens) const override;
  std::unique_ptr<Pass> enter(llm::CallDemand demand, std::function<void(std::optional<llm::CallFailure>)> admitted) override;

 private:
  class Stay;
  struct Shared;  // with the worker thread
  bool is_limited() const;
  std::optional<Nanodollars> price_of(llm::Usage const& usage) const;
  void settle(std::string id, llm::CallOutcome outcome, llm::CallDemand const& demand);

  loop::EventLoop& loop_;
  Settings settings_;
  std::function<void(std::string)> warn_;
  std::shared_ptr<Shared> shared_;
  Remaining remaining_;
  bool warned_ = false;
  size_t stays_ = 0;
  loop::Timer idle_;  ///< a Pod that makes no calls keeps no file open
  loop::Worker& worker_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insomnia::usage
