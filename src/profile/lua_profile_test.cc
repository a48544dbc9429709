// Lua profiles: their environment, their modules, and where errors say that something is written. The limits of the process are tested end to end.
#include "profile/lua_profile.hh"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "base/io.hh"
#include "base/json.hh"
#include "profile/profile_host.hh"

namespace insomnia::profile {
namespace {

class LuaProfile : public ::testing::Test {
 protected:
  LuaProfile() {
    char name[] = "/tmp/insomnia-profile-XXXXXX";
    root_ = ::mkdtemp(name);
    ::mkdir(path("p").c_str(), 0755);
  }
  ~LuaProfile() override { (void)std::system(("rm -rf '" + root_ + "'").c_str()); }

  std::string path(std::string_view name) const { return root_ + "/" + std::string(name); }
  void write(std::string_view name, std::string_view text) {
    ASSERT_TRUE(io::make_directories(io::parent_path(path(name)), 0755));
    ASSERT_TRUE(io::replace_file(path(name), text, 0644));
  }
  /// The JSON of the table, or the error's text.
  std::string evaluate(std::string_view source) {
    std::thread host;
    auto result = evaluate_profile({"coder.lua", std::string(source)}, path("p"), [&]() -> Result<StartedHost> {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("socketpair", errno);
      host = std::thread([end = ends[1]] {
        serve_profile(end);
        ::close(end);
      });
      return StartedHost{UniqueFd(ends[0]), [] { return std::string("it ended"); }};
    });
    if (host.joinable()) host.join();
    if (!result) return result.error().message;
    notes_ = result->notes;
    return json::dump(result->document);
  }
  void expect_error(std::string_view source, std::string_view fragment) {
    std::string text = evaluate(source);
    EXPECT_NE(text.find(fragment), std::string::npos) << source << "\n" << text;
  }

  std::string root_, notes_;
};

TEST_F(LuaProfile, IsATableOrProfileOfATable) {
  EXPECT_EQ(evaluate("return { slug = 'a', worker = { max_turns = 3.0, stop_sequences = {} } }"),
            R"({"slug":"a","worker":{"max_turns":3,"stop_sequences":{}}})");
  EXPECT_EQ(evaluate("return profile { slug = 'a' }"), R"({"slug":"a"})");
  EXPECT_EQ(evaluate("local profile = require('insomnia.profile')\nreturn profile { skills = { directories = { 'x' } } }"),
            R"({"skills":{"directories":["x"]}})");
}

TEST_F(LuaProfile, AnythingElseIsAnError) {
  for (auto const* source : {"return 1", "return 'x'", "return nil", "", "return function() end"})
    expect_error(source, "coder.lua: a Lua profile must return a table or profile { ... }");
  expect_error("return profile 'x'", "profile { ... } takes a table, not a string");
  expect_error("return {", "coder.lua:1:");
  expect_error("local x = nil\n\nreturn x.y", "coder.lua:3:");
  expect_error("return { slug = print }", "`slug` is a function, which is no data");
  expect_error("local t = {}; t.t = t; return t", "is nested too deeply, or contains itself");
}

TEST_F(LuaProfile, HostModulesHelpToWriteIt) {
  EXPECT_EQ(evaluate("local i = require('insomnia')\nreturn i.profile { model = i.models.catalog('a/b'), scope = i.scope.workspace_read(), compaction = "
                     "i.compact.ratio { threshold = 0.5 } }"),
            R"({"compaction":{"kind":"ratio","threshold":5E-1},"model":{"ref":"a/b"},"scope":{"intent":"workspace_read"}})");
  EXPECT_EQ(evaluate("return { compaction = require('insomnia.compact').tokens { threshold = 5 }, scope = require('insomnia.scope').workspace_write() }"),
            R"({"compaction":{"kind":"tokens","threshold":5},"scope":{"intent":"workspace_write"}})");
  EXPECT_EQ(evaluate("return require('insomnia.models').catalog('p/m')"), R"({"ref":"p/m"})");
  EXPECT_EQ(evaluate("local a, b = require('insomnia.models'), require('insomnia.models')\na.catalog = nil\nreturn { slug = type(b.catalog) }"),
            R"({"slug":"function"})")
      << "fresh each time";
  expect_error("return require('insomnia.shell')", "unknown host module `insomnia.shell`");
  expect_error("return require('insomnia.')", "unknown host module");
  expect_error("return require('insomnia.models').catalog(3)", "takes \"provider/model\"");
}

TEST_F(LuaProfile, NothingThatReachesTheMachineIsThere) {
  EXPECT_EQ(
      evaluate("local there = {}\nfor name in pairs(_G) do there[#there + 1] = name end\ntable.sort(there)\nreturn { slug = table.concat(there, ' ') }"),
      R"({"slug":"_G _VERSION assert error getmetatable ipairs math next pairs pcall print profile rawequal rawget rawlen rawset require select setmetatable string table tonumber tostring type utf8 warn xpcall"})");
  for (auto const* source : {"return os.getenv('HOME')", "return io.open('/etc/passwd')", "return debug.getinfo(1)", "return package.path",
                             "return coroutine.create(print)", "return load('return {}')()", "return dofile('/etc/passwd')"}) {
    expect_error(source, "failed to evaluate Lua profile: coder.lua:1:");
  }
  expect_error("\x1bLua", "coder.lua: ");
  expect_error("return { slug = '\xff' }", "coder.lua: it is not UTF-8 text");
}

TEST_F(LuaProfile, ItsOwnModulesAreReadOnceAndSeeTheSame) {
  write("p/shared/model.lua",
        "loads = (loads or 0) + 1\nlocal base = require('base')\nreturn { model = require('insomnia.models').catalog(base.ref), n = loads }");
  write("p/base.lua", "return { ref = 'p/m' }");
  EXPECT_EQ(evaluate("local a, b = require('shared.model'), require('shared.model')\nreturn { model = a.model, slug = tostring(a == b) .. b.n }"),
            R"({"model":{"ref":"p/m"},"slug":"true1"})");
}

TEST_F(LuaProfile, ModulesThatCannotBeHadSayWhy) {
  write("outside.lua", "return {}");
  write("p/broken.lua", "return {");
  write("p/a.lua", "return require('b')");
  write("p/b.lua", "return require('a')");
  write("p/self.lua", "local fine, why = pcall(require, 'self')\nreturn { why = why }");
  ASSERT_EQ(::symlink("../outside.lua", path("p/link.lua").c_str()), 0);
  ASSERT_EQ(::symlink("..", path("p/up").c_str()), 0);
  expect_error("require('')", "empty module name");
  for (auto const* name : {"..outside", "../outside", "/etc/passwd", "a..b", "a.", "1a", "a-b", "a/b"})
    expect_error("require('" + std::string(name) + "')", "invalid local module name");
  expect_error("require('none')", "local module `none` not found: there is no " + path("p/none.lua"));
  expect_error("require('link')", "local module `link` escapes profile directory");
  expect_error("require('up.outside')", "local module `up.outside` escapes profile directory");
  expect_error("require('broken')", path("p/broken.lua") + ":1:");
  expect_error("require('a')", "cyclic local require `a`");
  expect_error("return { slug = require('self').why }", "cyclic local require `self`");
  expect_error("require(1)", "require takes the name of a module");
  // A module that was missing is not one that is being loaded.
  expect_error("pcall(require, 'none')\nrequire('none')", "not found");
  expect_error("pcall(require, 'broken')\nrequire('broken')", "broken.lua:1:");
}

TEST_F(LuaProfile, AMarkAndALineForTheShellAreLeftOut) {
  write("p/m.lua", "\xEF\xBB\xBF#!/usr/bin/lua\r\nreturn { slug = 'm' }\r\n");
  EXPECT_EQ(evaluate("\xEF\xBB\xBFreturn require('m')"), R"({"slug":"m"})");
  expect_error("#!/usr/bin/lua\nreturn x.y", "coder.lua:2:");
}

TEST_F(LuaProfile, WhatItPrintsIsKeptForPeople) {
  EXPECT_EQ(evaluate("print('one', 2, nil)\nwarn('two', {} ~= nil)\nreturn {}"), "{}");
  EXPECT_EQ(notes_, "one\t2\tnil\nwarning: two\ttrue\n");
  expect_error("print('so far')\nerror('stop')", "coder.lua:2: stop");
  expect_error("print('so far')\nerror('stop')", "it had printed:\nso far\n");
  EXPECT_EQ(evaluate("for i = 1, 10000 do print(i) end\nreturn {}"), "{}");
  EXPECT_LT(notes_.size(), 10'000u);
}

TEST_F(LuaProfile, TricksGainNothing) {
  write("p/m.lua", "return { ok = true }");
  // Metatables are not asked, and what the environment does with names is its own.
  EXPECT_EQ(evaluate("return setmetatable({ slug = 'a' }, { __index = function() return 'b' end, __pairs = function() return next, { slug = 'c' } end, __len = "
                     "function() return 3 end })"),
            R"({"slug":"a"})");
  expect_error("string.match = function() return nil end\nreturn require('insomnia.none')", "unknown host module");
  expect_error("error(setmetatable({}, { __tostring = function() return 'mine' end }))", "mine");
  expect_error("error({})", "the error is a table value");
  expect_error("return string.rep('x', 1 << 40)", "coder.lua:1:");
  expect_error("local s = 'x'\nwhile true do s = s .. s end", "not enough memory");
  expect_error("local function f() return 1 + f() end\nreturn f()", "endless recursion ends like this");
  expect_error("local t = {}\nfor i = 1, 200 do t = { t } end\nreturn { a = t }", "nested too deeply");
  expect_error("return " + std::string(1000, '{') + std::string(1000, '}'), "coder.lua: C stack overflow");
}

std::string place(std::string_view source, std::string_view path) { return place_in_lua({{"p.lua", std::string(source)}}, path); }

TEST(PlaceInLua, IsTheLineThatWritesTheKey) {
  EXPECT_EQ(place("return {\n  slug = 'x',\n  worker = {\n    max_turns = 0,\n  },\n}", "worker.max_turns"), "p.lua:4: ");
  EXPECT_EQ(place("return profile {\n  a = { x = 1 },\n  b = {\n x = 2 } }", "b.x"), "p.lua:4: ");
  EXPECT_EQ(place("local p = {}\np.worker = {}\np.worker.max_turns = 0\nreturn p", "worker.max_turns"), "p.lua:3: ");
  EXPECT_EQ(place("return { permissions = { rule = {\n{ tool = 'a' },\n{ tool = 1 } } } }", "permissions.rule[1].tool"), "p.lua:2: ") << "one of them";
  EXPECT_EQ(place("return {\n ['worker'] = {\n  [\"max_turns\"] = 1 } }", "worker.max_turns"), "p.lua:3: ");
  EXPECT_EQ(place("return {\ncompaction = compact.ratio {\n threshold = 'x' } }", "compaction.ratio.threshold"), "p.lua:3: ");
  EXPECT_EQ(place("return { scope = {\n} }", "scope.intent"), "p.lua:1: ") << "what is missing: the table that lacks it";
}

TEST(PlaceInLua, StringsAndCommentsAreNotMistaken) {
  EXPECT_EQ(place("-- slug = 1\n--[[ slug = 2\n]] local t = 'slug = {'\nlocal u = [==[\nslug = ]] ]==]\nif slug == 1 then end\nreturn { slug = 3 }", "slug"),
            "p.lua:7: ");
  EXPECT_EQ(place("return { a = \"\\\"\\\n\", slug = 1 }", "slug"), "p.lua:2: ");
}

TEST(PlaceInLua, WhatIsComputedHasOnlyItsFile) {
  EXPECT_EQ(place("local t = {}\nt['sl' .. 'ug'] = 1\nreturn t", "slug"), "p.lua: ");
  EXPECT_EQ(place("", "slug"), "p.lua: ");
  EXPECT_EQ(place_in_lua({{"p.lua", "return require('m')"}, {"m.lua", "return {\nslug = 1 }"}}, "slug"), "m.lua:2: ");
  EXPECT_EQ(place_in_lua({}, "slug"), "");
}

TEST(PlaceInLua, AnyTextIsRead) {
  for (std::string_view text : {"{", "}", "[", "[[", "[=", "\"", "'\\", "--", "--[[", "=", "a.", "}}}}", "a = {", "[\"a\"", "\xff=\x80{"})
    EXPECT_TRUE(place(text, "a.b").starts_with("p.lua:")) << text;
}

}  // namespace
}  // namespace insomnia::profile
