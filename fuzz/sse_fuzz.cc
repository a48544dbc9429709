#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "http/sse.hh"

// The parser must give the same events however the bytes are cut. The first byte chooses the cut and the limit.
extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  using namespace insomnia;
  if (size == 0) return 0;
  size_t step = 1 + (data[0] & 15u);
  size_t limit = (data[0] & 16u) != 0 ? 64 : 1u << 20;
  std::string_view bytes(reinterpret_cast<char const*>(data) + 1, size - 1);

  // Whether the limit is met depends on the cuts (a piece is looked at as a whole), so only streams that pass are compared.
  std::vector<http::SseEvent> whole, cut;
  http::SseParser at_once(limit), in_pieces(limit);
  bool passed = at_once.feed(bytes, whole).has_value();
  bool passed_cut = true;
  for (size_t i = 0; i < bytes.size() && passed_cut; i += step) {
    passed_cut = in_pieces.feed(bytes.substr(i, step), cut).has_value();
  }
  if (passed && passed_cut && whole != cut) std::abort();
  for (auto const& event : cut) {
    if (event.event.empty() || event.data.size() > limit) std::abort();
  }
  return 0;
}
