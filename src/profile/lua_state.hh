#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"

struct lua_State;

namespace insomnia::profile {

/// What one interpreter may allocate.
inline constexpr size_t kLuaMemoryLimit = 64u << 20;

/// A text to compile; `name` stands before the line number in error texts.
struct LuaChunk {
  std::string name;
  std::string source;
};

/// One sandboxed Lua 5.4 interpreter: base, table, string, math and utf8, without anything that loads code,
/// reads files or touches the process. Values go in and out as JSON through Lua's own stack; an operation
/// that fails leaves the stack as it was before its arguments. Time is not limited here: see lua_host.hh.
/// Passive, for one thread.
class LuaState {
 public:
  /// Fails when even the libraries do not fit into `memory_limit` bytes.
  static Result<LuaState> open(size_t memory_limit = kLuaMemoryLimit);
  LuaState(LuaState&&) noexcept = default;
  LuaState& operator=(LuaState&&) noexcept = default;

  /// Compiles and runs `source` (text, never bytecode) and pushes its first result. `name` stands before the
  /// line number in error texts.
  /// `arguments` push what the chunk gets as `...`, one each.
  Result<void> run(std::string const& name, std::string_view source, std::vector<std::function<Result<void>()>> const& arguments = {});
  /// Whether the topmost value is a table.
  bool top_is_table() const;

  /// Pushes a function of one string that gives the compiled chunk which `find` returns for it, or nil and the reason why there is none.
  Result<void> push_loader(std::function<Result<LuaChunk>(std::string const& name)> find);
  /// Pushes a function of one string that calls `take` with it.
  Result<void> push_sink(std::function<void(std::string_view text)> take);

  /// Pushes a value. Lists get a mark, so that an empty one comes back as a list; null is nil.
  Result<void> push(boost::json::value const& value);

  /// Replaces the function under the `arguments` topmost values, and them, by its first result. The error's
  /// text is Lua's, with file, line and traceback.
  Result<void> call(int arguments);

  /// Pops the topmost value. A table with list items, or marked by list(), is a list; any other one, also an
  /// empty one, an object with sorted keys. Whole floats become integers, malformed UTF-8 is replaced.
  /// Functions and the like, keys that are not strings, tables that mix both forms and tables deeper than 100
  /// are errors that say where.
  Result<boost::json::value> pop_json();

 private:
  struct Memory {
    size_t limit = 0;
    size_t used = 0;
  };
  struct Closer {
    void operator()(lua_State* state) const;
  };
  struct Loader;
  struct Sink;
  static void* allocate(void* memory, void* block, size_t old_size, size_t new_size);
  LuaState() = default;
  Result<void> pcall(int arguments, int results);
  Result<void> push_closure(void* object, int (*function)(lua_State*));

  std::unique_ptr<Memory> memory_;  // these outlive state_
  std::vector<std::shared_ptr<Loader>> loaders_;
  std::vector<std::shared_ptr<Sink>> sinks_;
  std::unique_ptr<lua_State, Closer> state_;
};

}  // namespace insomnia::profile
