// Texts for bash: whatever they are, they are taken apart or not understood, and a word is never empty of what it must have.
#include <cstdint>
#include <string_view>

#include "base/error.hh"
#include "manifest/permission.hh"
#include "manifest/shell_words.hh"

extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  using namespace insomnia;
  std::string_view text(reinterpret_cast<char const*>(data), size);
  auto commands = manifest::simple_commands(text);
  if (!commands) return 0;
  for (auto const& command : *commands) {
    if (command.words.empty() || command.words.front().empty()) panic("a command without a name");
    std::string joined;
    for (auto const& word : command.words) joined += word;
    // What is described for sure may be described.
    if (manifest::wildcard_match("*m*", joined) && !manifest::wildcard_may_match("*m*", joined)) panic("the two matches disagree");
  }
  return 0;
}
