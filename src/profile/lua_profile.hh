#pragma once

#include <boost/json.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"
#include "profile/lua_state.hh"

/// Evaluating a Lua profile in a process of its own, from the side of who wants it.
namespace insomnia::profile {

/// A host that was started (profile_host.hh): the socket to it, and what waits for its end and says how it ended ("": in good order).
struct StartedHost {
  UniqueFd socket;
  std::function<std::string()> end;
};
using StartHost = std::function<Result<StartedHost>()>;

/// Starts `program` `lua profile`: the insomnia binary.
StartHost host_process(std::string program);

struct EvaluatedProfile {
  boost::json::value document;    ///< the table that the profile is
  std::string notes;              ///< what it printed, at most some kilobytes
  std::vector<LuaChunk> sources;  ///< all that was read: the profile, then its modules
};

/// Evaluates `main`. Its modules are read from `directory` (canonical) and below, and nowhere else: a symbolic link that leads out of it is an error.
/// Blocks; a profile has one second of processor time. Errors carry Lua's message with file and line, and what the profile printed.
Result<EvaluatedProfile> evaluate_profile(LuaChunk main, std::string const& directory, StartHost const& start);

/// The place in `sources` where the key with this path (`worker.max_turns`, `permissions.rule[0].tool`) is written, as "file:line: ". Lua's tables
/// don't know it, so it is looked for in the text: of several places the one whose surroundings fit best. A key that is computed has only the file: "file: ".
std::string place_in_lua(std::vector<LuaChunk> const& sources, std::string_view path);
/// The same for a key that is there: "file:line", or "" when it can't be seen in the text.
std::string written_in_lua(std::vector<LuaChunk> const& sources, std::string_view path);

}  // namespace insomnia::profile
