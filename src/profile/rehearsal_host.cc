#include "profile/rehearsal_host.hh"

#include <boost/json.hpp>
#include <cstdio>
#include <map>

#include "base/json.hh"
#include "base/resource.hh"
#include "profile/lua_host.hh"
#include "profile/lua_state.hh"

namespace insomnia::profile {
namespace bj = boost::json;

namespace {

/// A conversation item as scripts see it: one text, decoded arguments, results that know their tool.
class ItemPainter {
 public:
  Result<bj::object> paint(bj::object const& item) {
    json::Reader reader(item, "items");
    std::string kind = reader.string("kind");
    bj::object out{{"kind", kind}};
    if (kind == "message") {
      out["role"] = reader.string("role");
      out["text"] = message_text(reader);
    } else if (kind == "tool_call") {
      std::string call_id = reader.string("call_id");
      std::string name = reader.string("name");
      auto arguments = json::parse_object(reader.string_or("arguments", "{}"));
      calls_[call_id] = {.name = name, .arguments = arguments ? *std::move(arguments) : bj::object{}};
      out["arguments"] = calls_[call_id].arguments;
      out["text"] = "";
      out["name"] = name;
      out["call_id"] = call_id;
    } else if (kind == "tool_result") {
      paint_result(reader, out);
    } else {
      out["text"] = reader.string_or("text", "");
    }
    TRY(reader.finish());
    return out;
  }

 private:
  struct Asked {
    std::string name;
    bj::object arguments;
  };

  static std::string message_text(json::Reader& reader) {
    std::string text;
    bj::array const* parts = reader.array("content");
    if (parts == nullptr) return text;
    for (bj::value const& part : *parts) {
      if (!part.is_object()) continue;
      json::Reader fields(part.get_object(), "content");
      text += fields.string_or("text", fields.string_or("refusal", ""));
    }
    return text;
  }

  void paint_result(json::Reader& reader, bj::object& out) {
    std::string call_id = reader.string("call_id");
    std::string summary = reader.string_or("summary", "");
    std::string content = reader.string_or("content", "");
    Asked const& asked = calls_[call_id];
    out["name"] = asked.name;
    out["arguments"] = asked.arguments;
    out["call_id"] = call_id;
    out["text"] = reader.has("content") ? summary + "\n" + content : summary;
    out["summary"] = std::move(summary);
    out["content"] = std::move(content);
    out["is_error"] = reader.boolean_or("is_error", false);
  }

  std::map<std::string, Asked> calls_;
};

struct Call {
  CallInfo info;
  bj::value conversation;
};

Result<Call> decode_call(std::string_view request_json) {
  bj::object request = TRY(json::parse_object(request_json));
  json::Reader reader(request, "request");
  Call call;
  call.info = {
      .id = reader.string("id"), .model = reader.string("model"), .input_bytes = request_json.size()};
  bj::array items;
  ItemPainter painter;
  if (bj::array const* raw = reader.require_array("items")) {
    for (bj::value const& item : *raw) {
      if (!item.is_object())
        return fail(Code::InvalidArgument, "request.items holds something that is no object");
      items.push_back(TRY(painter.paint(item.get_object())));
    }
  }
  bj::array tools;
  for (std::string const& name : reader.strings("tools")) tools.push_back(bj::string(name));
  call.conversation = bj::object{{"system", reader.string_or("system", "")},
                                 {"items", std::move(items)},
                                 {"tools", std::move(tools)},
                                 {"model", call.info.model},
                                 {"call_index", reader.uint_or("call_index", 0)},
                                 {"attempt", reader.uint_or("attempt", 1)}};
  TRY(reader.finish());
  return call;
}

Result<std::vector<ReplyPart>> ask_script(RehearsalScript const& script, bj::value const& conversation) {
  auto library = base::find_resource("rehearsal/lib/rehearsal.lua");
  if (!library) panic("the rehearsal library is not embedded");
  LuaState lua = TRY(LuaState::open());
  TRY(lua.run("rehearsal", *library));  // leaves the function that plays a script
  TRY(lua.run(script.name, script.source));
  TRY(lua.push(conversation));
  TRY(lua.call(2));
  return decode_reply(TRY(lua.pop_json()));
}

Result<std::vector<PacedLine>> answer(RehearsalScript const& script, std::string_view request_json) {
  Call call = TRY(decode_call(request_json));
  return render_reply(TRY(ask_script(script, call.conversation)), call.info);
}

Result<RehearsalScript> decode_script(std::string_view line) {
  bj::object object = TRY(json::parse_object(line));
  json::Reader reader(object);
  RehearsalScript script;
  if (bj::object const* body = reader.require_object("script")) {
    json::Reader fields(*body, "script");
    script = {.name = fields.string("name"), .source = fields.string("source")};
    TRY(fields.finish());
  }
  TRY(reader.finish());
  return script;
}

Result<std::string> decode_request(std::string_view line) {
  bj::object object = TRY(json::parse_object(line));
  json::Reader reader(object);
  bj::object const* request = reader.require_object("request");
  TRY(reader.finish());
  return json::dump(*request);
}

Result<void> serve(LineChannel& channel) {
  auto first = TRY(channel.next());
  if (!first) return {};
  RehearsalScript script = TRY(decode_script(*first));
  for (;;) {
    auto line = TRY(channel.next());
    if (!line) return {};
    std::string request = TRY(decode_request(*line));
    for (PacedLine const& reply : rehearse_call(script, request)) {
      if (reply.delay_ms > 0 && !channel.pause(reply.delay_ms)) return {};
      // The other side left in the middle of an answer: it cancelled the call.
      if (!channel.send(reply.text)) return {};
    }
  }
}

}  // namespace

std::vector<PacedLine> rehearse_call(RehearsalScript const& script, std::string_view request_json) {
  auto lines = answer(script, request_json);
  if (lines) return *std::move(lines);
  return {render_failure("rehearsal script " + script.name + ": " + lines.error().message)};
}

int serve_rehearsal(int socket_fd) {
  LineChannel channel(socket_fd);
  auto served = serve(channel);
  if (served) return 0;
  std::fprintf(stderr, "error: rehearsal host: %s\n", served.error().message.c_str());
  return 1;
}

int rehearsal_main(int socket_fd) {
  auto limited = enter_lua_host();
  if (!limited) {
    std::fprintf(stderr, "error: rehearsal host: %s\n", limited.error().message.c_str());
    return 1;
  }
  return serve_rehearsal(socket_fd);
}

}  // namespace insomnia::profile
