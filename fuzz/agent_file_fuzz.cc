// Agents of other programs: whatever the file is, reading it ends in a profile or an error, and a profile survives the hand-over.
#include <cstdint>
#include <string_view>

#include "base/error.hh"
#include "manifest/agent_file.hh"

extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  using namespace insomnia;
  auto agent = manifest::parse_agent_file({reinterpret_cast<char const*>(data), size}, "agent.md");
  if (!agent) return 0;
  auto const& config = agent->profile.config;
  auto again = manifest::parse_json(manifest::to_json(config));
  if (!again) panic(again.error().message);
  if (*again != config) panic("an agent changes on its way to a child");
  return 0;
}
