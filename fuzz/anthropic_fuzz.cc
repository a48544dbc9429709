#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string_view>
#include <variant>

#include "llm/scheme/anthropic.hh"

// Whatever a server sends, what comes out must be well formed: blocks start before they grow and stop, and never twice.
extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  using namespace insomnia;
  std::vector<http::SseEvent> events;
  http::SseParser parser(1u << 20);
  if (!parser.feed(std::string_view(reinterpret_cast<char const*>(data), size), events)) return 0;

  llm::AnthropicDecoder decoder;
  std::vector<llm::StreamEvent> out;
  for (auto const& event : events) {
    auto failure = decoder.decode(event, out);
    if (failure && failure->error.message.empty()) std::abort();
    if (failure) break;
  }
  std::map<size_t, bool> open;
  for (auto const& event : out) {
    if (auto const* start = std::get_if<llm::BlockStart>(&event)) {
      if (open[start->index]) std::abort();
      open[start->index] = true;
    } else if (auto const* delta = std::get_if<llm::BlockDelta>(&event)) {
      if (!open[delta->index] || delta->text.empty()) std::abort();
    } else if (auto const* stop = std::get_if<llm::BlockStop>(&event)) {
      if (!open[stop->index]) std::abort();
      open[stop->index] = false;
    }
  }
  return 0;
}
