#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string_view>
#include <variant>

#include "llm/scheme/scheme.hh"

/// Whatever a server sends, what comes out must be well formed: blocks start before they grow and stop, and never twice; nothing follows the end.
template <class SomeDecoder>
int fuzz_decoder(uint8_t const* data, size_t size) {
  using namespace insomnia;
  std::vector<http::SseEvent> events;
  http::SseParser parser(1u << 20);
  if (!parser.feed(std::string_view(reinterpret_cast<char const*>(data), size), events)) return 0;

  SomeDecoder decoder;
  std::vector<llm::StreamEvent> out;
  bool failed = false;
  for (auto const& event : events) {
    auto failure = decoder.decode(event, out);
    if (failure && failure->error.message.empty()) std::abort();
    failed = failed || failure.has_value();
    // What comes after the end is not read.
    if (failed || (!out.empty() && std::holds_alternative<llm::Completed>(out.back()))) break;
  }
  if (!failed) decoder.end(out);
  std::map<size_t, bool> open;
  size_t ends = 0;
  for (auto const& event : out) {
    if (ends > 0) std::abort();
    if (auto const* start = std::get_if<llm::BlockStart>(&event)) {
      if (open[start->index]) std::abort();
      open[start->index] = true;
    } else if (auto const* delta = std::get_if<llm::BlockDelta>(&event)) {
      if (!open[delta->index] || delta->text.empty()) std::abort();
    } else if (auto const* stop = std::get_if<llm::BlockStop>(&event)) {
      if (!open[stop->index]) std::abort();
      open[stop->index] = false;
    } else if (std::holds_alternative<llm::Completed>(event)) {
      ++ends;
    }
  }
  return 0;
}
