#include "profile/lua_state.hh"

#include <lua.hpp>

#include <boost/json.hpp>
#include <cmath>
#include <cstdlib>
#include <map>

#include "base/text.hh"

// Lua is compiled as C: its errors are longjmps. So everything that can raise one runs inside lua_pcall, in
// functions whose locals have no destructors, and no C++ exception may cross a Lua frame.

namespace insomnia::profile {
namespace bj = boost::json;

namespace {

constexpr char const* kList = "list";
constexpr int kMaxDepth = 100;

int on_panic(lua_State* lua) {
  char const* message = lua_tostring(lua, -1);
  panic(message != nullptr ? message : "Lua error outside of a protected call");
}

/// list(table): marks a table so that it stays a list when it is empty.
int mark_list(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_settop(lua, 1);
  luaL_setmetatable(lua, kList);
  return 1;
}

int open_libraries(lua_State* lua) {
  luaL_Reg const libraries[] = {{LUA_GNAME, luaopen_base},
                                {LUA_TABLIBNAME, luaopen_table},
                                {LUA_STRLIBNAME, luaopen_string},
                                {LUA_MATHLIBNAME, luaopen_math},
                                {LUA_UTF8LIBNAME, luaopen_utf8}};
  for (luaL_Reg const& library : libraries) {
    luaL_requiref(lua, library.name, library.func, 1);
    lua_pop(lua, 1);
  }
  for (char const* name : {"dofile", "loadfile", "load", "collectgarbage"}) {
    lua_pushnil(lua);
    lua_setglobal(lua, name);
  }
  luaL_newmetatable(lua, kList);
  lua_pop(lua, 1);
  lua_pushcfunction(lua, mark_list);
  lua_setglobal(lua, "list");
  return 0;
}

int add_traceback(lua_State* lua) {
  char const* message = lua_tostring(lua, 1);
  if (message == nullptr) {
    if (luaL_callmeta(lua, 1, "__tostring") != 0 && lua_type(lua, -1) == LUA_TSTRING) return 1;
    message = lua_pushfstring(lua, "the error is a %s value", luaL_typename(lua, 1));
  }
  luaL_traceback(lua, lua, message, 1);
  return 1;
}

void push_value(lua_State* lua, bj::value const& value) {
  luaL_checkstack(lua, 4, "value is nested too deeply");
  switch (value.kind()) {
    case bj::kind::null:
      lua_pushnil(lua);
      break;
    case bj::kind::bool_:
      lua_pushboolean(lua, value.get_bool());
      break;
    case bj::kind::int64:
      lua_pushinteger(lua, value.get_int64());
      break;
    case bj::kind::uint64:
      if (value.get_uint64() <= static_cast<uint64_t>(LUA_MAXINTEGER)) {
        lua_pushinteger(lua, static_cast<lua_Integer>(value.get_uint64()));
      } else {
        lua_pushnumber(lua, static_cast<lua_Number>(value.get_uint64()));
      }
      break;
    case bj::kind::double_:
      lua_pushnumber(lua, value.get_double());
      break;
    case bj::kind::string:
      lua_pushlstring(lua, value.get_string().data(), value.get_string().size());
      break;
    case bj::kind::array: {
      bj::array const& list = value.get_array();
      lua_createtable(lua, static_cast<int>(list.size()), 0);
      luaL_setmetatable(lua, kList);
      for (size_t i = 0; i < list.size(); ++i) {
        push_value(lua, list[i]);
        lua_rawseti(lua, -2, static_cast<lua_Integer>(i + 1));
      }
      break;
    }
    case bj::kind::object: {
      bj::object const& object = value.get_object();
      lua_createtable(lua, 0, static_cast<int>(object.size()));
      for (auto const* entry = object.begin(); entry != object.end(); ++entry) {
        lua_pushlstring(lua, entry->key().data(), entry->key().size());
        push_value(lua, entry->value());
        lua_rawset(lua, -3);
      }
      break;
    }
  }
}

int push_json(lua_State* lua) {
  push_value(lua, *static_cast<bj::value const*>(lua_touserdata(lua, 1)));
  return 1;
}

std::string_view string_at(lua_State* lua, int index) {
  size_t size = 0;
  char const* bytes = lua_tolstring(lua, index, &size);
  return {bytes, size};
}

std::unexpected<Error> refuse(std::string const& where, std::string_view why) {
  return fail(Code::InvalidArgument,
              (where.empty() ? "the value" : "`" + where + "`") + " " + std::string(why));
}

Result<bj::value> number_at(lua_State* lua, int index, std::string const& where) {
  if (lua_isinteger(lua, index)) return bj::value(static_cast<int64_t>(lua_tointeger(lua, index)));
  double number = lua_tonumber(lua, index);
  if (!std::isfinite(number)) return refuse(where, "is not a finite number");
  if (std::trunc(number) == number && std::fabs(number) < 9e15)
    return bj::value(static_cast<int64_t>(number));
  return bj::value(number);
}

bool is_marked_list(lua_State* lua, int table) {
  if (lua_getmetatable(lua, table) == 0) return false;
  luaL_getmetatable(lua, kList);
  bool marked = lua_rawequal(lua, -1, -2) != 0;
  lua_pop(lua, 2);
  return marked;
}

Result<bj::value> json_at(lua_State* lua, int index, std::string const& where, int depth);

Result<bj::value> list_at(lua_State* lua, int table, size_t count, std::string const& where, int depth) {
  bj::array list;
  list.reserve(count);
  for (size_t i = 1; i <= count; ++i) {
    lua_rawgeti(lua, table, static_cast<lua_Integer>(i));
    auto item = json_at(lua, lua_gettop(lua), where + "[" + std::to_string(i) + "]", depth + 1);
    lua_pop(lua, 1);
    list.push_back(TRY(std::move(item)));
  }
  size_t entries = 0;
  for (lua_pushnil(lua); lua_next(lua, table) != 0; lua_pop(lua, 1)) ++entries;
  if (entries != count)
    return refuse(where, "has list items and also other keys, or holes between the items");
  return list;
}

Result<bj::value> object_at(lua_State* lua, int table, std::string const& where, int depth) {
  std::map<std::string, bj::value> sorted;  // Lua's own order differs from run to run
  int top = lua_gettop(lua);
  for (lua_pushnil(lua); lua_next(lua, table) != 0; lua_pop(lua, 1)) {
    if (lua_type(lua, -2) != LUA_TSTRING) {
      lua_settop(lua, top);
      return refuse(where, "has a key that is not a string");
    }
    std::string key = text::to_utf8(string_at(lua, -2));
    auto member = json_at(lua, lua_gettop(lua), where.empty() ? key : where + "." + key, depth + 1);
    if (!member) {
      lua_settop(lua, top);
      return std::unexpected(std::move(member).error());
    }
    sorted.insert_or_assign(std::move(key), *std::move(member));
  }
  bj::object object;
  object.reserve(sorted.size());
  for (auto& [key, member] : sorted) object.emplace(key, std::move(member));
  return object;
}

/// Nothing here raises a Lua error: no call allocates but lua_checkstack, which reports.
Result<bj::value> json_at(lua_State* lua, int index, std::string const& where, int depth) {
  if (depth > kMaxDepth) return refuse(where, "is nested too deeply, or contains itself");
  if (lua_checkstack(lua, 6) == 0) return refuse(where, "does not fit into memory");
  switch (lua_type(lua, index)) {
    case LUA_TNIL:
      return bj::value(nullptr);
    case LUA_TBOOLEAN:
      return bj::value(lua_toboolean(lua, index) != 0);
    case LUA_TNUMBER:
      return number_at(lua, index, where);
    case LUA_TSTRING:
      return bj::value(text::to_utf8(string_at(lua, index)));
    case LUA_TTABLE: {
      size_t count = lua_rawlen(lua, index);
      if (count > 0 || is_marked_list(lua, index)) return list_at(lua, index, count, where, depth);
      return object_at(lua, index, where, depth);
    }
    default:
      return refuse(where,
                    "is a " + std::string(lua_typename(lua, lua_type(lua, index))) + ", which is no data");
  }
}

}  // namespace

/// What it found stays here: the Lua function that asks has no destructors to run.
struct LuaState::Loader {
  std::function<Result<LuaChunk>(std::string const&)> find;
  LuaChunk found;
  std::string error;

  bool load(char const* name, size_t size) noexcept {
    auto chunk = find(std::string(name, size));
    if (chunk) {
      found = {"@" + chunk->name, std::move(chunk->source)};
      return true;
    }
    error = chunk.error().message;
    return false;
  }
  static int call(lua_State* lua) {
    auto* loader = static_cast<Loader*>(lua_touserdata(lua, lua_upvalueindex(1)));
    size_t size = 0;
    char const* name = luaL_checklstring(lua, 1, &size);
    if (!loader->load(name, size)) {
      lua_pushnil(lua);
      lua_pushlstring(lua, loader->error.data(), loader->error.size());
      return 2;
    }
    if (luaL_loadbufferx(lua, loader->found.source.data(), loader->found.source.size(), loader->found.name.c_str(), "t") == LUA_OK) return 1;
    lua_pushnil(lua);
    lua_insert(lua, -2);
    return 2;
  }
};

struct LuaState::Sink {
  std::function<void(std::string_view)> take;

  static int call(lua_State* lua) {
    auto* sink = static_cast<Sink*>(lua_touserdata(lua, lua_upvalueindex(1)));
    size_t size = 0;
    char const* text = luaL_checklstring(lua, 1, &size);
    sink->give(text, size);
    return 0;
  }
  void give(char const* text, size_t size) noexcept { take({text, size}); }
};

void LuaState::Closer::operator()(lua_State* state) const {
  lua_close(state);
}

void* LuaState::allocate(void* memory, void* block, size_t old_size, size_t new_size) {
  auto& budget = *static_cast<Memory*>(memory);
  if (block == nullptr) old_size = 0;  // Lua passes the kind of object then
  if (new_size == 0) {
    std::free(block);
    budget.used -= old_size;
    return nullptr;
  }
  if (new_size > old_size && new_size - old_size > budget.limit - budget.used) return nullptr;
  void* moved = std::realloc(block, new_size);
  if (moved != nullptr) budget.used += new_size - old_size;
  return moved;
}

Result<LuaState> LuaState::open(size_t memory_limit) {
  LuaState result;
  result.memory_ = std::make_unique<Memory>(Memory{.limit = memory_limit});
  result.state_.reset(lua_newstate(&LuaState::allocate, result.memory_.get()));
  if (!result.state_) return fail(Code::LimitReached, "start Lua: not enough memory");
  lua_State* lua = result.state_.get();
  lua_atpanic(lua, on_panic);
  lua_pushcfunction(lua, open_libraries);
  TRY(result.pcall(0, 0));
  return result;
}

Result<void> LuaState::pcall(int arguments, int results) {
  lua_State* lua = state_.get();
  int function = lua_gettop(lua) - arguments;
  int base = function - 1;
  if (lua_checkstack(lua, 4) == 0) {
    lua_settop(lua, base);
    return fail(Code::LimitReached, "Lua's stack is full");
  }
  lua_pushcfunction(lua, add_traceback);
  lua_insert(lua, function);
  int status = lua_pcall(lua, arguments, results, function);
  if (status == LUA_OK) {
    lua_remove(lua, function);
    return {};
  }
  std::string message =
      lua_type(lua, -1) == LUA_TSTRING ? text::to_utf8(string_at(lua, -1)) : "unknown Lua error";
  lua_settop(lua, base);
  if (status != LUA_ERRMEM) return fail(Code::InvalidArgument, std::move(message));
  return fail(Code::LimitReached, "not enough memory: a script may use " +
                                      std::to_string(memory_->limit >> 20) +
                                      " MiB (endless recursion ends like this, too)");
}

bool LuaState::top_is_table() const { return lua_gettop(state_.get()) > 0 && lua_istable(state_.get(), -1); }

Result<void> LuaState::run(std::string const& name, std::string_view source, std::vector<std::function<Result<void>()>> const& arguments) {
  lua_State* lua = state_.get();
  if (lua_checkstack(lua, 4) == 0) return fail(Code::LimitReached, "Lua's stack is full");
  // luaL_loadbufferx is itself protected: it returns its errors.
  int status = luaL_loadbufferx(lua, source.data(), source.size(), ("@" + name).c_str(), "t");
  if (status != LUA_OK) {
    std::string message = text::to_utf8(string_at(lua, -1));
    lua_pop(lua, 1);
    return fail(status == LUA_ERRMEM ? Code::LimitReached : Code::InvalidArgument, std::move(message));
  }
  int base = lua_gettop(lua) - 1;
  for (auto const& push : arguments) {
    if (auto pushed = push(); !pushed) {
      lua_settop(lua, base);
      return pushed;
    }
  }
  return pcall(static_cast<int>(arguments.size()), 1);
}

namespace {

/// A closure over a light pointer is Lua's to allocate, so it is made in a protected call: f(pointer, function).
int make_closure(lua_State* lua) {
  auto function = reinterpret_cast<lua_CFunction>(lua_touserdata(lua, 2));
  lua_settop(lua, 1);
  lua_pushcclosure(lua, function, 1);
  return 1;
}

}  // namespace

Result<void> LuaState::push_closure(void* object, int (*function)(lua_State*)) {
  lua_State* lua = state_.get();
  if (lua_checkstack(lua, 4) == 0) return fail(Code::LimitReached, "Lua's stack is full");
  lua_pushcfunction(lua, make_closure);
  lua_pushlightuserdata(lua, object);
  lua_pushlightuserdata(lua, reinterpret_cast<void*>(function));
  return pcall(2, 1);
}

Result<void> LuaState::push_loader(std::function<Result<LuaChunk>(std::string const&)> find) {
  loaders_.push_back(std::make_shared<Loader>(Loader{std::move(find), {}, {}}));
  return push_closure(loaders_.back().get(), &Loader::call);
}

Result<void> LuaState::push_sink(std::function<void(std::string_view)> take) {
  sinks_.push_back(std::make_shared<Sink>(Sink{std::move(take)}));
  return push_closure(sinks_.back().get(), &Sink::call);
}

Result<void> LuaState::push(bj::value const& value) {
  lua_State* lua = state_.get();
  if (lua_checkstack(lua, 4) == 0) return fail(Code::LimitReached, "Lua's stack is full");
  lua_pushcfunction(lua, push_json);
  lua_pushlightuserdata(lua, const_cast<bj::value*>(&value));
  return pcall(1, 1);
}

Result<void> LuaState::call(int arguments) {
  return pcall(arguments, 1);
}

Result<bj::value> LuaState::pop_json() {
  lua_State* lua = state_.get();
  auto value = json_at(lua, lua_gettop(lua), "", 0);
  lua_pop(lua, 1);
  return value;
}

}  // namespace insomnia::profile
