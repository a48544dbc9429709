#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "llm/catalogue.hh"
#include "llm/provider.hh"
#include "llm/stream_event.hh"

namespace insomnia::llm {

/// What a call wants, before it is made.
struct CallDemand {
  uint64_t input_tokens = 0;   ///< at most
  uint64_t output_tokens = 0;  ///< at most
};

/// What came of a call that was let through.
struct CallOutcome {
  Usage usage;
  bool answered = false;  ///< something of the answer has come, so it costs
  uint64_t output_bytes = 0;
  bool completed = false;
  std::optional<CallFailure> failure;
  std::optional<int64_t> wait_ms;  ///< what the headers say of when the next call may come
};

/// Stands before a model's calls: whether one may be made, and when.
class CallGate {
 public:
  /// One call's stay. Destroying it without finish() means that the call was given up before it was made.
  class Pass {
   public:
    virtual ~Pass() = default;
    virtual void finish(CallOutcome outcome) = 0;
  };
  virtual ~CallGate() = default;
  /// The most that the next answer may have, where that is limited.
  virtual std::optional<uint64_t> output_limit(uint64_t input_tokens) const = 0;
  /// `admitted` comes later, once, on the loop: no failure when it may begin now. Not after the Pass is destroyed.
  virtual std::unique_ptr<Pass> enter(CallDemand demand, std::function<void(std::optional<CallFailure>)> admitted) = 0;
};

}  // namespace insomnia::llm
