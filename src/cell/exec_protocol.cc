#include "cell/exec_protocol.hh"

#include <utility>

#include "base/json_codec.hh"

namespace insomnia::cell {
namespace {

namespace bj = boost::json;
using json::finished;
using json::utf8;

struct MessageEncoder {
  bj::object operator()(ExecRequest const& request) const {
    bj::object object{{"message", "run"}, {"argv", json::encode_strings(request.argv)}};
    if (request.cwd) object["cwd"] = utf8(*request.cwd);
    object["environment"] = json::encode_string_map(request.environment);
    object["terminal"] = request.terminal;
    return object;
  }
  bj::object operator()(ExecSignal const& signal) const { return {{"message", "signal"}, {"number", signal.number}}; }
};

struct EventEncoder {
  bj::object operator()(ExecStarted const& started) const { return {{"event", "started"}, {"pid", started.pid}}; }
  bj::object operator()(ExecEnded const& ended) const { return {{"event", "ended"}, {"status", ended.status}}; }
  bj::object operator()(ExecRefused const& refused) const { return {{"event", "refused"}, {"message", utf8(refused.message)}}; }
};

}  // namespace

std::string encode_exec_message(ExecMessage const& message) { return json::dump(std::visit(MessageEncoder{}, message)); }

Result<ExecMessage> decode_exec_message(std::string_view line) {
  bj::object object = TRY(json::parse_object(line));
  json::Reader reader(object);
  std::string kind = reader.string("message");
  if (kind == "run") {
    ExecRequest request;
    request.argv = reader.strings("argv");
    request.cwd = reader.optional_string("cwd");
    request.environment = json::decode_string_map(reader, "environment");
    request.terminal = reader.boolean_or("terminal", false);
    if (request.argv.empty() || request.argv.front().empty()) reader.reject("argv", "must name a program");
    if (request.cwd && !request.cwd->starts_with('/')) reader.reject("cwd", "must be an absolute path");
    for (auto const& word : request.argv) {
      if (word.find('\0') != std::string::npos) reader.reject("argv", "must not hold a NUL character");
    }
    return finished<ExecMessage>(reader, std::move(request));
  }
  if (kind == "signal") {
    int64_t number = reader.integer("number");
    if (number < 1 || number > 64) reader.reject("number", "must be a signal");
    return finished<ExecMessage>(reader, ExecSignal{static_cast<int>(number)});
  }
  TRY(reader.finish());
  return fail(Code::InvalidArgument, "unknown message \"" + kind + "\" of exec");
}

std::string encode_exec_event(ExecEvent const& event) { return json::dump(std::visit(EventEncoder{}, event)); }

Result<ExecEvent> decode_exec_event(std::string_view line) {
  bj::object object = TRY(json::parse_object(line));
  json::Reader reader(object);
  std::string kind = reader.string("event");
  if (kind == "started") return finished<ExecEvent>(reader, ExecStarted{static_cast<pid_t>(reader.integer("pid"))});
  if (kind == "ended") return finished<ExecEvent>(reader, ExecEnded{static_cast<int>(reader.integer("status"))});
  if (kind == "refused") return finished<ExecEvent>(reader, ExecRefused{reader.string("message")});
  TRY(reader.finish());
  return fail(Code::InvalidArgument, "unknown event \"" + kind + "\" of exec");
}

}  // namespace insomnia::cell
