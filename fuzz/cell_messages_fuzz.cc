// What the decoders of the cell's protocols accept is written as one line that reads back to the same. The first byte chooses the protocol.
#include <cstdint>
#include <string_view>

#include "base/error.hh"
#include "cell/exec_protocol.hh"
#include "cell/init_protocol.hh"
#include "tools/hands_protocol.hh"

namespace {

template <class Decode, class Encode>
void round_trip(std::string_view line, Decode const& decode, Encode const& encode) {
  auto once = decode(line);
  if (!once) return;
  std::string text = encode(*once);
  if (text.find('\n') != std::string::npos) insomnia::panic("a message must be one line");
  auto twice = decode(text);
  if (!twice) insomnia::panic(twice.error().message);
  if (encode(*twice) != text) insomnia::panic("encoding is not stable: " + text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  if (size == 0) return 0;
  std::string_view line(reinterpret_cast<char const*>(data) + 1, size - 1);
  using namespace insomnia;
  switch (data[0]) {
    case 'c': round_trip(line, cell::decode_cell_command, cell::encode_cell_command); break;
    case 'e': round_trip(line, cell::decode_cell_event, cell::encode_cell_event); break;
    case 'm': round_trip(line, cell::decode_exec_message, cell::encode_exec_message); break;
    case 'x': round_trip(line, cell::decode_exec_event, cell::encode_exec_event); break;
    case 'h': round_trip(line, tools::decode_command, tools::encode_command); break;
    case 'r': round_trip(line, tools::decode_hands_event, tools::encode_hands_event); break;
    default: break;
  }
  return 0;
}
