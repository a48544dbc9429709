#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "llm/stream_event.hh"
#include "wire/event.hh"
#include "wire/item.hh"

namespace insomnia::agent {

/// Collects one model call's stream into history items and into the live events that clients see. Blocks may
/// interleave, and an index may be used again. A new one is made for every call, so nothing of a cancelled stream can
/// reach a later turn.
class StreamCollector {
 public:
  /// Takes one event; returns what clients are to be told.
  std::vector<wire::EventBody> take(llm::StreamEvent const& event);
  /// The stream is over: ends what clients were told has begun (thinking_start is always paired). A second call gives
  /// nothing.
  std::vector<wire::EventBody> close();

  bool completed() const { return completed_; }
  /// Whether anything that a client can see has come.
  bool active() const { return active_; }
  std::optional<llm::StopReason> stop_reason() const { return stop_reason_; }
  llm::Usage const& usage() const { return usage_; }

  /// Everything that the call gave: reasoning, one assistant message with the text, finished tool calls; again from the reasoning on, if the model thought
  /// again in between. Empty when there is only reasoning. A last tool call that the output limit cut is left out: its arguments are not what the
  /// model meant.
  std::vector<wire::Item> items() const;
  /// What a broken stream leaves: the text that was shown and, before it, reasoning that is complete; no tool calls.
  /// Empty without text.
  std::vector<wire::Item> salvage() const;
  /// What was streamed so far, for clients that attach now.
  wire::InFlight in_flight() const;

 private:
  struct Block {
    llm::BlockType type = llm::BlockType::Text;
    std::string id;
    std::string name;
    std::string text;
    bool stopped = false;
    bool malformed = false;  ///< the arguments were no JSON object
    std::vector<wire::Reasoning> reasoning;  ///< that stands in its place, or (of the others) before it
  };
  void add_block(size_t index, Block block);
  void add_reasoning(llm::ReasoningDone const& done);
  std::vector<wire::Item> collected(bool with_calls) const;

  std::vector<Block> blocks_;      ///< as they began
  std::map<size_t, size_t> latest_;  ///< position in blocks_ of the last block of each index
  std::map<size_t, size_t> open_;  ///< position in blocks_ of each index that is under way
  std::vector<wire::Reasoning> pending_;  ///< reasoning that nothing has followed yet
  llm::Usage usage_;
  std::optional<llm::StopReason> stop_reason_;
  bool completed_ = false;
  bool active_ = false;
};

}  // namespace insomnia::agent
