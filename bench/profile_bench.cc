// What choosing a profile costs a start: discovery and the built-in default, a registry of 500 profiles of which one is chosen, Lua and TOML.
// Usage: profile_bench [ROUNDS]
#include <cstdio>
#include <cstdlib>

#include "base/io.hh"
#include "measure.hh"
#include "profile/discovery.hh"
#include "profile/trust.hh"
#include "testing/temp_dir.hh"

namespace insomnia::bench {
namespace {

template <class T>
void must(Result<T> const& result) {
  if (result) return;
  std::printf("failed: %s\n", result.error().message.c_str());
  std::exit(1);
}

void measure(int rounds) {
  testing::TempDir root;
  Paths paths{.config_dir = root.path() + "/config", .data_dir = root.path() + "/data", .runtime_dir = root.path() + "/run"};
  std::string work = root.path() + "/w/a/b/c";
  for (auto const& directory : {work, paths.config_dir, root.path() + "/w/.insomnia"}) must(io::make_directories(directory));
  auto choose = [&](std::string_view selector) {
    profile::ProfileReading reading{.workspace = work, .start_host = profile::host_process(INSOMNIA_BINARY), .trusts = profile::trust_of(paths)};
    must(profile::read_selected_profile(selector, profile::discover_profiles(profile::profile_places(paths, work), reading), reading));
  };
  auto run = [&](std::string const& what, std::string_view selector) {
    Samples samples;
    for (int i = 0; i < rounds; ++i) {
      Time start = now();
      choose(selector);
      samples.add(ms(start, now()));
    }
    print(what, samples);
  };
  run("discovery and the default profile", "");
  std::string registry = "[profile]\n";
  for (int i = 0; i < 500; ++i) registry += "p" + std::to_string(i) + " = { path = 'p" + std::to_string(i) + (i % 2 == 0 ? ".lua'" : ".toml'") + ", description = 'Does one thing' }\n";
  must(io::replace_file(root.path() + "/w/.insomnia/profiles.toml", registry));
  must(io::replace_file(root.path() + "/w/.insomnia/p400.lua", "local i = require('insomnia')\nreturn profile { slug = 'x', scope = i.scope.workspace_read(), worker = { max_turns = 5 } }\n"));
  must(io::replace_file(root.path() + "/w/.insomnia/p401.toml", "slug = 'x'\nscope = 'workspace_read'\n[worker]\nmax_turns = 5\n"));
  run("the default profile beside a registry of 500", "");
  run("one of 500, in TOML", "p401");
  run("one of 500, in Lua (a process of its own)", "p400");
}

}  // namespace
}  // namespace insomnia::bench

int main(int argc, char** argv) {
  using namespace insomnia::bench;
  int rounds = argc > 1 ? std::atoi(argv[1]) : 50;
  Conditions conditions;
  Samples floor;
  for (int i = 0; i < rounds; ++i) floor.add(spawn_true_ms());
  print("floor: spawn and wait of /bin/true", floor);
  measure(rounds);
  return 0;
}
