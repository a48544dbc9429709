#include "profile/profile_host.hh"

#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>

#include "base/json.hh"
#include "base/resource.hh"
#include "base/text.hh"
#include "profile/lua_host.hh"
#include "profile/lua_state.hh"

namespace insomnia::profile {
namespace bj = boost::json;

namespace {

constexpr size_t kMaxNotes = 4096;

class Host {
 public:
  explicit Host(LineChannel& channel) : channel_(channel) {}

  Result<void> serve() {
    auto line = TRY(channel_.next());
    if (!line) return {};
    LuaChunk main = TRY(read_chunk(TRY(json::parse_object(*line)), "run"));
    auto document = evaluate(main);
    bj::object answer{{"notes", notes_}};
    if (document) answer["done"] = *std::move(document);
    else answer["failed"] = document.error().message;
    return channel_.send(json::dump(answer));
  }

 private:
  static Result<LuaChunk> read_chunk(bj::object const& object, std::string_view key) {
    json::Reader reader(object);
    LuaChunk chunk;
    if (auto const* body = reader.require_object(key)) {
      json::Reader fields(*body, std::string(key));
      chunk = {.name = fields.string("name"), .source = fields.string("source")};
      TRY(fields.finish());
    }
    TRY(reader.finish());
    return chunk;
  }

  Result<LuaChunk> ask_for_module(std::string const& name) {
    TRY(channel_.send(json::dump(bj::object{{"module", text::to_utf8(name)}})));
    auto line = TRY(channel_.next());
    if (!line) return fail(Code::Unavailable, "the other side is gone");
    bj::object answer = TRY(json::parse_object(*line));
    if (auto const* error = answer.if_contains("error"); error != nullptr && error->is_string()) return fail(Code::NotFound, std::string(error->get_string()));
    return read_chunk(answer, "module");
  }

  Result<bj::value> evaluate(LuaChunk const& main) {
    auto prelude = base::find_resource("lua/profile_host.lua");
    if (!prelude) panic("the embedded lua/profile_host.lua is missing");
    lua_.emplace(TRY(LuaState::open()));
    TRY(lua_->run("profile_host", *prelude,
                  {
                      [&] { return lua_->push_loader([this](std::string const& name) { return ask_for_module(name); }); },
                      [&] { return lua_->push_sink([this](std::string_view text) { note(text); }); },
                  }));
    TRY(lua_->run(main.name, main.source));
    if (!lua_->top_is_table()) return fail(Code::InvalidArgument, main.name + ": a Lua profile must return a table or profile { ... }");
    return lua_->pop_json();
  }

  void note(std::string_view text) {
    if (notes_.size() < kMaxNotes) notes_ += text::to_utf8(text.substr(0, kMaxNotes)) + "\n";
  }

  LineChannel& channel_;
  std::string notes_;
  std::optional<LuaState> lua_;
};

}  // namespace

int serve_profile(int socket_fd) {
  LineChannel channel(socket_fd);
  auto served = Host(channel).serve();
  if (served) return 0;
  std::fprintf(stderr, "error: profile host: %s\n", served.error().message.c_str());
  return 1;
}

int profile_main(int socket_fd) {
  // One second is a thousand times what a profile takes.
  auto limited = enter_lua_host({.cpu_seconds = 1});
  if (!limited) {
    std::fprintf(stderr, "error: profile host: %s\n", limited.error().message.c_str());
    return 1;
  }
  // Without destructors: a profile's finalizers are nobody's business any more.
  ::_exit(serve_profile(socket_fd));
}

}  // namespace insomnia::profile
