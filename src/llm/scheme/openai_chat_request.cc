#include <algorithm>
#include <array>

#include "base/text.hh"
#include "llm/scheme/openai_chat.hh"
#include "llm/scheme/turns.hh"
#include "wire/json_writer.hh"

namespace insomnia::llm {
namespace {

using wire::append_json_string;
using wire::ObjectWriter;

void write_cache_control(ObjectWriter& object) {
  object.object("cache_control", [](ObjectWriter& inner) { inner.string("type", "ephemeral"); });
}

/// A message's text; as a list of one part where the part carries a breakpoint.
void write_content(ObjectWriter& message, std::string_view text, bool breakpoint) {
  if (!breakpoint) return message.string("content", text);
  message.list("content", std::array{text}, [](std::string& list, std::string_view part) {
    ObjectWriter object(list);
    object.string("type", "text");
    object.string("text", part);
    write_cache_control(object);
  });
}

/// The messages of a request, one after the other.
class Messages {
 public:
  Messages(std::string& out, ModelConfig const& model) : out_(out), model_(model), dialect_(chat_dialect(model.provider_id, model.base_url)) {}

  void system(std::string_view prompt) {
    if (prompt.empty()) return;
    next();
    ObjectWriter message(out_);
    message.string("role", "system");
    write_content(message, prompt, model_.capability.explicit_caching);
  }

  void conversation(std::vector<Turn> const& turns) {
    size_t last_question = turns.size();
    for (size_t i = 0; i < turns.size(); ++i) {
      if (!turns[i].texts.empty()) last_question = i;
    }
    for (size_t i = 0; i < turns.size(); ++i) {
      // Thinking in plain text belongs to the work on the last question; some refuse older one.
      if (turns[i].assistant) assistant(turns[i], last_question == turns.size() || i > last_question);
      else user(turns[i], model_.capability.explicit_caching && i + 1 == turns.size());
    }
  }

 private:
  void next() {
    if (!first_) out_ += ',';
    first_ = false;
  }

  std::string call_id(std::string const& id) const {
    if (dialect_.exact_call_id && id.size() != dialect_.max_call_id) return portable_call_id(id + "#", dialect_.max_call_id);
    return id.size() <= dialect_.max_call_id ? id : portable_call_id(id, dialect_.max_call_id);
  }

  void user(Turn const& turn, bool last) {
    for (auto const* result : turn.results) {
      next();
      ObjectWriter message(out_);
      message.string("role", "tool");
      message.string("tool_call_id", call_id(result->call_id));
      // The format has no mark for failure, and a summary says what went wrong.
      write_content(message, wire::result_text(*result), last && turn.texts.empty() && result == turn.results.back());
    }
    if (turn.texts.empty()) return;
    next();
    ObjectWriter message(out_);
    message.string("role", "user");
    write_content(message, text::join(turn.texts, "\n\n"), last);
  }

  void assistant(Turn const& turn, bool with_thinking) {
    std::string text, thought, details;
    std::string thought_field;
    std::vector<wire::ToolCall const*> calls;
    for (auto const* part : turn.parts) {
      if (auto const* message = std::get_if<wire::Message>(part)) text += wire::message_text(*message);
      if (auto const* call = std::get_if<wire::ToolCall>(part)) calls.push_back(call);
      if (auto const* reasoning = std::get_if<wire::Reasoning>(part)) {
        if (reasoning->encrypted_content && reasoning->encrypted_content->starts_with("[") && reasoning->encrypted_content->size() > 2) {
          std::string_view entries(*reasoning->encrypted_content);
          details += (details.empty() ? "" : ",") + std::string(entries.substr(1, entries.size() - 2));
          thought += reasoning->text;
          thought_field = "reasoning";
        } else if (reasoning->signature == "reasoning" || reasoning->signature == "reasoning_content") {
          thought += reasoning->text;
          thought_field = *reasoning->signature;
        }
      }
    }
    if (text.empty() && calls.empty()) return;  // thinking alone is no message
    next();
    ObjectWriter message(out_);
    message.string("role", "assistant");
    if (text.empty()) message.null("content");
    else message.string("content", text);
    if (!details.empty()) message.json("reasoning_details", "[" + details + "]");
    if (with_thinking && !thought.empty()) message.string(thought_field, thought);
    if (calls.empty()) return;
    message.list("tool_calls", calls, [&](std::string& list, wire::ToolCall const* call) {
      ObjectWriter object(list);
      object.string("id", call_id(call->call_id));
      object.string("type", "function");
      object.object("function", [&](ObjectWriter& function) {
        function.string("name", call->name);
        function.string("arguments", wire::normalize_arguments(call->arguments));
      });
    });
  }

  std::string& out_;
  ModelConfig const& model_;
  ChatDialect dialect_;
  bool first_ = true;
};

void write_reasoning(ObjectWriter& body, Request const& request, ModelConfig const& model, ChatDialect const& dialect) {
  if (!request.config.reasoning) return;
  auto const* label = std::get_if<std::string>(&*request.config.reasoning);
  auto const* budget = std::get_if<int64_t>(&*request.config.reasoning);
  bool labels = model.capability.reasoning == "effort" || model.capability.reasoning == "both";
  bool budgets = model.capability.reasoning == "budget_tokens" || model.capability.reasoning == "both";
  if (dialect.effort == ChatDialect::Effort::Label) {
    if (label != nullptr && labels) body.string("reasoning_effort", *label);
    return;
  }
  if (label != nullptr && labels) body.object("reasoning", [&](ObjectWriter& inner) { inner.string("effort", *label); });
  if (budget != nullptr && budgets && *budget > 0) body.object("reasoning", [&](ObjectWriter& inner) { inner.integer("max_tokens", *budget); });
}

void write_tool(std::string& list, ToolDefinition const& tool) {
  ObjectWriter object(list);
  object.string("type", "function");
  object.object("function", [&](ObjectWriter& function) {
    function.string("name", tool.name);
    if (!tool.description.empty()) function.string("description", tool.description);
    std::string schema = wire::normalize_arguments(tool.input_schema);
    function.json("parameters", schema == "{}" ? R"({"type":"object","properties":{}})" : schema);
  });
}

}  // namespace

ChatDialect chat_dialect(std::string_view provider_id, std::string_view base_url) {
  auto is = [&](std::string_view id, std::string_view host) { return provider_id == id || base_url.find("://" + std::string(host)) != std::string_view::npos; };
  if (is("openai", "api.openai.com") || base_url.empty()) return {.max_tokens = "max_completion_tokens"};
  if (is("openrouter", "openrouter.ai")) return {.effort = ChatDialect::Effort::Object, .asks_for_cost = true, .max_call_id = 256};
  if (is("vercel", "ai-gateway.vercel.sh")) return {.effort = ChatDialect::Effort::Object, .max_call_id = 256};
  if (is("mistral", "api.mistral.ai")) return {.asks_for_usage = false, .max_call_id = 9, .exact_call_id = true};
  return {.max_call_id = 256};
}

std::string build_chat_body(Request const& request, ModelConfig const& model) {
  ChatDialect dialect = chat_dialect(model.provider_id, model.base_url);
  std::string out;
  out.reserve(estimated_body_size(request));
  {
    ObjectWriter body(out);
    body.string("model", model.model_id);
    if (request.config.max_tokens) body.uint(dialect.max_tokens, *request.config.max_tokens);
    std::string& list = body.key("messages");
    list += '[';
    Messages messages(list, model);
    messages.system(request.system_prompt);
    messages.conversation(turns_of(request.items, model));
    list += ']';
    if (!request.tools.empty()) {
      body.list("tools", request.tools, write_tool);
      body.string("tool_choice", "auto");
    }
    if (request.config.temperature) wire::append_json_number(body.key("temperature"), *request.config.temperature);
    if (request.config.top_p) wire::append_json_number(body.key("top_p"), *request.config.top_p);
    if (!request.config.stop_sequences.empty()) body.list("stop", request.config.stop_sequences, append_json_string);
    write_reasoning(body, request, model, dialect);
    if (dialect.asks_for_usage) body.object("stream_options", [](ObjectWriter& options) { options.boolean("include_usage", true); });
    if (dialect.asks_for_cost) body.object("usage", [](ObjectWriter& usage) { usage.boolean("include", true); });
    body.boolean("stream", true);
  }
  return out;
}

}  // namespace insomnia::llm
