#include "profile/lua_state.hh"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.hh"

namespace insomnia::profile {
namespace {

/// The JSON text of what `source` returns, or the error's text.
std::string evaluate(std::string_view source) {
  auto lua = LuaState::open();
  if (!lua) return lua.error().message;
  if (auto ran = lua->run("test.lua", source); !ran) return ran.error().message;
  auto value = lua->pop_json();
  return value ? json::dump(*value) : value.error().message;
}

/// What `text` becomes on its way through Lua.
std::string round_trip(std::string_view text) {
  auto lua = LuaState::open();
  auto value = json::parse(text);
  if (auto pushed = lua->push(*value); !pushed) return pushed.error().message;
  return json::dump(*lua->pop_json());
}

TEST(LuaState, ValuesComeBackAsTheyWentIn) {
  for (std::string_view text : {"null", "true", "-7", "1.5E0", R"("a\u0000b ü")", "[]", "{}",
                                R"([1,[],{"a":[]},{}])", R"({"a":{"b":[false,"x"]}})"}) {
    EXPECT_EQ(round_trip(text), text);
  }
}

TEST(LuaState, NullInAnObjectIsAnAbsentField) {
  EXPECT_EQ(round_trip(R"({"a":null,"b":1})"), R"({"b":1})");
}

TEST(LuaState, WholeFloatsBecomeIntegers) {
  EXPECT_EQ(evaluate("return {10 / 2, 2^40, 0.5}"), "[5,1099511627776,5E-1]");
}

TEST(LuaState, AnEmptyTableIsAnObjectUnlessItIsMarkedAsAList) {
  EXPECT_EQ(evaluate("return {a = {}, b = list {}}"), R"({"a":{},"b":[]})");
}

TEST(LuaState, MalformedUtf8IsReplaced) {
  EXPECT_EQ(evaluate(R"(return "a\xffz")"), "\"a\uFFFDz\"");
}

TEST(LuaState, WhatIsNoDataIsRefusedWithItsPlace) {
  EXPECT_EQ(evaluate("return {a = {b = print}}"), "`a.b` is a function, which is no data");
  EXPECT_EQ(evaluate("return {{}, {[1.5] = 1}}"), "`[2]` has a key that is not a string");
  EXPECT_EQ(evaluate("return {x = 0/0}"), "`x` is not a finite number");
  EXPECT_EQ(evaluate("return {l = {1, 2, k = 3}}"),
            "`l` has list items and also other keys, or holes between the items");
  EXPECT_NE(evaluate("local t = {} t.t = t return t").find("contains itself"), std::string::npos);
}

TEST(LuaState, TheStackIsBalancedAfterErrors) {
  auto lua = LuaState::open();
  ASSERT_TRUE(lua);
  ASSERT_TRUE(lua->run("f", "return function(x) error('no ' .. x) end"));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(lua->run("g", "return function(x) return {x, f = 1} end"));
    ASSERT_TRUE(lua->push(boost::json::value("y")));
    ASSERT_TRUE(lua->call(1));
    ASSERT_FALSE(lua->pop_json());
  }
  ASSERT_TRUE(lua->push(boost::json::value("way")));
  auto called = lua->call(1);
  ASSERT_FALSE(called);
  EXPECT_NE(called.error().message.find("f:1: no way"), std::string::npos);
}

TEST(LuaState, NothingThatLoadsCodeOrTouchesTheMachineIsThere) {
  EXPECT_EQ(evaluate("local n = list {} for _, k in ipairs "
                     "{'os','io','debug','package','require','coroutine','load','loadfile',"
                     "'dofile','collectgarbage'} do if _G[k] ~= nil then n[#n + 1] = k end end return n"),
            "[]");
  EXPECT_EQ(
      evaluate(
          "return {s = ('x'):rep(2), m = math.max(1, 2), u = utf8.len('ü'), t = table.concat({'a', 'b'})}"),
      R"({"m":2,"s":"xx","t":"ab","u":1})");
}

TEST(LuaState, BytecodeIsRefused) {
  EXPECT_NE(evaluate(std::string_view("\x1bLua\x54", 5)).find("binary"), std::string::npos);
}

TEST(LuaState, ErrorsCarryFileLineAndTraceback) {
  EXPECT_EQ(evaluate("return {\n x = = 1}"), "test.lua:2: unexpected symbol near '='");
  std::string message = evaluate("local function f()\n local t\n return t.x\nend\nreturn {f()}");
  EXPECT_NE(message.find("test.lua:3: attempt to index a nil value (local 't')"), std::string::npos);
  EXPECT_NE(message.find("stack traceback"), std::string::npos);
  EXPECT_NE(evaluate("error({})").find("the error is a table value"), std::string::npos);
  EXPECT_EQ(evaluate("error(setmetatable({}, {__tostring = function() return 'odd' end}))"), "odd");
}

TEST(LuaState, MemoryIsLimited) {
  auto lua = LuaState::open(1 << 20);
  ASSERT_TRUE(lua);
  auto ran = lua->run("bomb", "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end");
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, Code::LimitReached);
  EXPECT_FALSE(lua->run("rep", "return ('x'):rep(1 << 30)"));
  EXPECT_TRUE(lua->run("after", "return 1"));  // it goes on once the garbage is gone
  auto pushed = lua->push(boost::json::value(std::string(2 << 20, 'x')));
  EXPECT_FALSE(pushed);
}

TEST(LuaState, TooLittleMemoryForTheLibrariesIsAnError) {
  for (size_t limit = 0; limit < 20'000; limit += 512) {
    auto lua = LuaState::open(limit);
    if (!lua) {
      EXPECT_EQ(lua.error().code, Code::LimitReached);
    }
  }
}

TEST(LuaState, EndlessRecursionIsAnError) {
  EXPECT_NE(evaluate("local function f() return 1 + f() end return f()").find("endless recursion"),
            std::string::npos);
}

}  // namespace
}  // namespace insomnia::profile
