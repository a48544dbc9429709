// LineReader gives the same lines however the bytes are cut into pieces, and keeps to its limit.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.hh"
#include "wire/line_reader.hh"

namespace {

constexpr size_t kLimit = 64;

struct Outcome {
  std::vector<std::string> lines;
  bool failed = false;
  bool operator==(Outcome const&) const = default;
};

Outcome read_in_pieces(std::string_view bytes, size_t piece) {
  insomnia::wire::LineReader reader(kLimit);
  Outcome outcome;
  while (!bytes.empty() && !outcome.failed) {
    reader.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (;;) {
      auto line = reader.next();
      outcome.failed = !line;
      if (!line || !*line) break;
      if ((*line)->empty() || (*line)->size() > kLimit) insomnia::panic("a line breaks the contract");
      outcome.lines.push_back(std::move(**line));
    }
    if (reader.pending() > kLimit) insomnia::panic("more is kept than one line may have");
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<char const*>(data), size);
  size_t piece = 1 + data[0] % 97;
  if (read_in_pieces(bytes, piece) != read_in_pieces(bytes, size)) insomnia::panic("the pieces change the lines");
  return 0;
}
