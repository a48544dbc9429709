// What parse_toml accepts is written, as TOML and as JSON, so that it reads back to the same; nothing crashes
// on the rest.
#include <cstdint>

#include "base/error.hh"
#include "manifest/manifest.hh"

namespace manifest = insomnia::manifest;

extern "C" int LLVMFuzzerTestOneInput(uint8_t const* data, size_t size) {
  auto config = manifest::parse_toml({reinterpret_cast<char const*>(data), size}, "input.toml");
  if (!config) return 0;
  auto from_toml = manifest::parse_toml(manifest::to_toml(*config), "written.toml");
  if (!from_toml) insomnia::panic(from_toml.error().message);
  if (*from_toml != *config) insomnia::panic("TOML gives back something else: " + manifest::to_toml(*config));
  auto from_json = manifest::parse_json(manifest::to_json(*config));
  if (!from_json) insomnia::panic(from_json.error().message);
  if (*from_json != *config) insomnia::panic("JSON gives back something else: " + manifest::to_json(*config));
  auto resolved = manifest::resolve(manifest::resolve_paths(*config, "/base"));
  if (resolved && manifest::merge(resolved->config, manifest::Config{}) != resolved->config)
    insomnia::panic("an empty layer changed it");
  return 0;
}
