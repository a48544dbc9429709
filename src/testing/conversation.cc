#include "testing/conversation.hh"

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "base/error.hh"
#include "base/json.hh"

namespace insomnia::testing {
namespace {

namespace bj = boost::json;

std::string string_of(bj::object const& object, std::string_view key) {
  auto const* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

/// A string, or the texts of a list of blocks.
std::string text_of(bj::value const& value) {
  if (value.is_string()) return std::string(value.as_string());
  std::string result;
  if (!value.is_array()) return result;
  for (auto const& block : value.as_array()) result += string_of(block.as_object(), "text");
  return result;
}

void take_block(Conversation& conversation, bool assistant, bj::object const& block) {
  std::string type = string_of(block, "type");
  if (type == "text") {
    std::string text = string_of(block, "text");
    (assistant ? conversation.answers : conversation.said).push_back(text);
    conversation.latest += text;
  } else if (type == "tool_use") {
    conversation.calls.push_back(string_of(block, "id"));
  } else if (type == "tool_result") {
    auto const* error = block.if_contains("is_error");
    SentResult result{string_of(block, "tool_use_id"), text_of(block.at("content")), error != nullptr && error->as_bool()};
    conversation.results.push_back(result);
    conversation.latest_results.push_back(std::move(result));
  }
}

void append_string(std::string& out, std::string_view text) { out += bj::serialize(bj::value(bj::string(text))); }

}  // namespace

std::string Conversation::result(std::string_view id) const {
  std::string text;
  for (auto const& result : results) {
    if (result.id == id) text += result.text;
  }
  return count_results(id) > 0 ? text : "<none>";
}

size_t Conversation::count_results(std::string_view id) const {
  return static_cast<size_t>(std::ranges::count(results, id, &SentResult::id));
}

bool Conversation::was_told(std::string_view fragment) const {
  return std::ranges::any_of(said, [&](std::string const& text) { return text.find(fragment) != std::string::npos; });
}

Conversation read_conversation(RecordedRequest const& request) {
  auto body = json::parse_object(request.body);
  if (!body) panic("a request to the fake server is not a JSON object: " + body.error().message);
  Conversation conversation;
  if (auto const* system = body->if_contains("system")) conversation.system = text_of(*system);
  if (auto const* tools = body->if_contains("tools")) {
    for (auto const& tool : tools->as_array()) conversation.tools.push_back(string_of(tool.as_object(), "name"));
  }
  for (auto const& message : body->at("messages").as_array()) {
    bool assistant = string_of(message.as_object(), "role") == "assistant";
    conversation.latest.clear();
    conversation.latest_results.clear();
    auto const& content = message.as_object().at("content");
    if (content.is_string()) {
      take_block(conversation, assistant, bj::object{{"type", "text"}, {"text", content}});
    } else {
      for (auto const& block : content.as_array()) take_block(conversation, assistant, block.as_object());
    }
  }
  if (!conversation.said.empty()) conversation.task = conversation.said.front();
  return conversation;
}

void answer_with(FakeLlmServer& server, std::string task, std::function<Reply(Conversation const&)> handler) {
  auto is_of_task = [task](RecordedRequest const& request) { return read_conversation(request).task.find(task) != std::string::npos; };
  server.answer(is_of_task, [handler = std::move(handler)](RecordedRequest const& request) { return handler(read_conversation(request)); });
}

void answer_task(FakeLlmServer& server, std::string task, std::vector<Reply> replies) {
  struct Script {
    std::vector<Reply> replies;
    size_t next = 0;
  };
  // Called on the server's thread alone.
  auto script = std::make_shared<Script>(Script{std::move(replies)});
  answer_with(server, task, [script, task](Conversation const&) {
    if (script->next < script->replies.size()) return script->replies[script->next++];
    return error_reply(400, "invalid_request_error", "the test has no further reply for " + task);
  });
}

std::vector<Conversation> conversations(FakeLlmServer const& server, std::string_view task) {
  std::vector<Conversation> result;
  for (auto const& request : server.requests()) {
    auto conversation = read_conversation(request);
    if (conversation.task.find(task) != std::string::npos) result.push_back(std::move(conversation));
  }
  return result;
}

Conversation last_conversation(FakeLlmServer const& server, std::string_view task) {
  auto all = conversations(server, task);
  if (all.empty()) panic("no request of the conversation " + std::string(task));
  return all.back();
}

std::string arguments(std::initializer_list<std::pair<std::string_view, std::string_view>> members) {
  std::string out = "{";
  for (auto const& [name, value] : members) {
    if (out.size() > 1) out += ",";
    append_string(out, name);
    out += ":";
    append_string(out, value);
  }
  return out + "}";
}

std::string spawn_arguments(std::string_view name, std::string_view task, std::initializer_list<std::string_view> rules) {
  std::string out = arguments({{"name", name}, {"task", task}});
  out.back() = ',';
  out += "\"scope\":[";
  for (auto rule : rules) {
    size_t colon = rule.find(':');
    if (!out.ends_with('[')) out += ",";
    out += arguments({{"target", rule.substr(colon + 1)}, {"permission", rule.substr(0, colon)}});
  }
  return out + "]}";
}

}  // namespace insomnia::testing
