// What decode_method accepts is written as one line that reads back to the same.
#include <cstdint>

#include "base/error.hh"
#include "wire/method.hh"

extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  auto once = insomnia::wire::decode_method({reinterpret_cast<char const*>(data), size});
  if (!once) return 0;
  std::string text = insomnia::wire::encode_method(*once);
  if (text.find('\n') != std::string::npos) insomnia::panic("a message must be one line");
  auto twice = insomnia::wire::decode_method(text);
  if (!twice) insomnia::panic(twice.error().message);
  if (insomnia::wire::encode_method(*twice) != text) insomnia::panic("encoding is not stable: " + text);
  return 0;
}
