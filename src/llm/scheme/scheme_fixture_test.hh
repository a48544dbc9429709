#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "llm/scheme/scheme.hh"

namespace insomnia::llm {

using Events = std::vector<StreamEvent>;

/// Decodes `data` lines, one event each, and the end of the stream.
template <class SomeDecoder>
Events decode_lines(std::vector<std::string> const& lines) {
  SomeDecoder decoder;
  Events out;
  for (auto const& line : lines) EXPECT_FALSE(decoder.decode({"message", line}, out)) << line;
  decoder.end(out);
  return out;
}

/// The failure of the last line.
template <class SomeDecoder>
std::optional<CallFailure> failure_of(std::vector<std::string> const& lines) {
  SomeDecoder decoder;
  Events out;
  std::optional<CallFailure> failure;
  for (auto const& line : lines) failure = decoder.decode({"message", line}, out);
  return failure;
}

/// Events in words, one a line.
inline std::string in_words(Events const& events) {
  struct Words {
    std::string operator()(Started const& e) const { return "started " + e.request_id + " " + e.model; }
    std::string operator()(BlockStart const& e) const {
      std::string type = e.type == BlockType::Text ? "text" : e.type == BlockType::Thinking ? "thinking" : "tool " + e.id + " " + e.name;
      return std::to_string(e.index) + " start " + type;
    }
    std::string operator()(BlockDelta const& e) const { return std::to_string(e.index) + " '" + e.text + "'"; }
    std::string operator()(BlockStop const& e) const { return std::to_string(e.index) + " stop"; }
    std::string operator()(ReasoningDone const& e) const {
      std::string line = "reasoning '" + e.item.text + "'";
      for (auto const& part : e.item.summary) line += " summary '" + part + "'";
      if (e.item.encrypted_content) line += " encrypted " + *e.item.encrypted_content;
      if (e.item.signature) line += " signature " + *e.item.signature;
      if (!e.item.id.empty()) line += " id " + e.item.id;
      if (e.block) line += " of " + std::to_string(*e.block);
      return line;
    }
    std::string operator()(Usage const& e) const {
      auto number = [](std::optional<uint64_t> const& n) { return n ? std::to_string(*n) : "-"; };
      return "usage " + number(e.input_tokens) + " " + number(e.output_tokens) + " " + number(e.cache_read_input_tokens) + " " + number(e.cache_creation_input_tokens);
    }
    std::string operator()(Stopped const& e) const {
      static constexpr char const* kNames[] = {"end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "pause_turn", "content_filter", "other"};
      return std::string("stopped ") + kNames[static_cast<size_t>(e.reason)];
    }
    std::string operator()(Ping const&) const { return "ping"; }
    std::string operator()(Unhandled const& e) const { return "unhandled " + e.event_type; }
    std::string operator()(Completed const&) const { return "completed"; }
  };
  std::string result;
  for (auto const& event : events) result += std::visit(Words{}, event) + "\n";
  return result;
}

}  // namespace insomnia::llm
