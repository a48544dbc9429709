#include "llm/scheme/openai_responses.hh"

#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"
#include "wire/json_writer.hh"

namespace insomnia::llm {
namespace {

using wire::ObjectWriter;

constexpr size_t kMaxCallId = 64;

std::string call_id(std::string const& id) { return id.size() <= kMaxCallId && !id.empty() ? id : portable_call_id(id, kMaxCallId); }

/// A message whose one part has the type that its side demands.
void write_message(std::string& list, std::string_view role, std::string_view part_type, std::string_view text) {
  ObjectWriter message(list);
  message.string("role", role);
  message.list("content", std::initializer_list<std::string_view>{text}, [&](std::string& parts, std::string_view part) {
    ObjectWriter object(parts);
    object.string("type", part_type);
    object.string("text", part);
  });
}

struct ItemWriter {
  std::string& list;

  void operator()(wire::Message const& message) const {
    std::string text = wire::message_text(message);
    switch (message.role) {
      case wire::Role::User: return write_message(list, "user", "input_text", text);
      case wire::Role::System: return write_message(list, "developer", "input_text", text);
      case wire::Role::Assistant: return write_message(list, "assistant", "output_text", text);
    }
  }
  void operator()(wire::ToolCall const& call) const {
    ObjectWriter object(list);
    object.string("type", "function_call");
    object.string("call_id", call_id(call.call_id));
    object.string("name", call.name);
    object.string("arguments", wire::normalize_arguments(call.arguments));
  }
  void operator()(wire::ToolResult const& result) const {
    ObjectWriter object(list);
    object.string("type", "function_call_output");
    object.string("call_id", call_id(result.call_id));
    object.string("output", wire::result_text(result));
  }
  void operator()(wire::Reasoning const& reasoning) const {
    ObjectWriter object(list);
    object.string("type", "reasoning");
    if (!reasoning.id.empty()) object.string("id", reasoning.id);
    object.list("summary", reasoning.summary, [](std::string& parts, std::string const& text) {
      ObjectWriter part(parts);
      part.string("type", "summary_text");
      part.string("text", text);
    });
    if (reasoning.encrypted_content) object.string("encrypted_content", *reasoning.encrypted_content);
  }
};

/// Whether the item is sent. The server keeps nothing, so reasoning without its encrypted form means nothing to it.
bool is_sent(wire::Item const& item, ModelConfig const& model) {
  if (auto const* message = std::get_if<wire::Message>(&item)) return !text::trim(wire::message_text(*message)).empty();
  auto const* reasoning = std::get_if<wire::Reasoning>(&item);
  if (reasoning == nullptr) return true;
  return understands(model, *reasoning) && reasoning->encrypted_content && !reasoning->signature;
}

/// Reasoning has to stand before something of the same answer.
bool is_followed(std::span<wire::Item const> items, size_t index) {
  for (size_t i = index + 1; i < items.size(); ++i) {
    if (std::holds_alternative<wire::Reasoning>(items[i])) continue;
    auto const* message = std::get_if<wire::Message>(&items[i]);
    return std::holds_alternative<wire::ToolCall>(items[i]) || (message != nullptr && message->role == wire::Role::Assistant);
  }
  return false;
}

std::string schema_of(ToolDefinition const& tool) {
  auto schema = json::parse_object(tool.input_schema);
  if (!schema || schema->empty()) return R"({"type":"object","properties":{}})";
  auto const* type = schema->if_contains("type");
  bool is_object = type != nullptr && type->is_string() && type->get_string() == "object";
  if (!is_object || schema->contains("properties")) return tool.input_schema;
  (*schema)["properties"] = boost::json::object();
  return json::dump(*schema);
}

class OpenAiResponsesScheme final : public Scheme {
 public:
  std::string default_base_url() const override { return "https://api.openai.com"; }

  std::string url(std::string_view base_url, ModelConfig const&) const override { return join_versioned_url(base_url, "/v1", "/responses"); }

  void add_headers(std::string_view key, Headers& headers) const override {
    if (!key.empty()) headers.emplace_back("authorization", "Bearer " + std::string(key));
  }

  std::string body(Request const& request, ModelConfig const& model) const override { return build_responses_body(request, model); }

  std::unique_ptr<Decoder> decoder() const override { return std::make_unique<ResponsesDecoder>(); }
};

}  // namespace

std::string build_responses_body(Request const& request, ModelConfig const& model) {
  std::string out;
  out.reserve(estimated_body_size(request));
  {
    ObjectWriter body(out);
    body.string("model", model.model_id);
    if (!request.system_prompt.empty()) body.string("instructions", request.system_prompt);
    std::vector<wire::Item const*> sent;
    for (size_t i = 0; i < request.items.size(); ++i) {
      auto const& item = request.items[i];
      bool dangling = std::holds_alternative<wire::Reasoning>(item) && !is_followed(request.items, i);
      if (is_sent(item, model) && !dangling) sent.push_back(&item);
    }
    body.list("input", sent, [](std::string& list, wire::Item const* item) { std::visit(ItemWriter{list}, *item); });
    if (!request.tools.empty()) {
      body.list("tools", request.tools, [](std::string& list, ToolDefinition const& tool) {
        ObjectWriter object(list);
        object.string("type", "function");
        object.string("name", tool.name);
        if (!tool.description.empty()) object.string("description", tool.description);
        object.json("parameters", schema_of(tool));
        object.boolean("strict", false);
      });
      body.string("tool_choice", "auto");
      body.boolean("parallel_tool_calls", true);
    }
    auto const* label = request.config.reasoning ? std::get_if<std::string>(&*request.config.reasoning) : nullptr;
    bool labels = model.capability.reasoning == "effort" || model.capability.reasoning == "both";
    if (label != nullptr && labels) {
      body.object("reasoning", [&](ObjectWriter& reasoning) {
        reasoning.string("effort", *label);
        reasoning.string("summary", "auto");
      });
    }
    if (request.config.max_tokens) body.uint("max_output_tokens", *request.config.max_tokens);
    if (request.config.temperature) wire::append_json_number(body.key("temperature"), *request.config.temperature);
    if (request.config.top_p) wire::append_json_number(body.key("top_p"), *request.config.top_p);
    if (!request.cache_key.empty()) body.string("prompt_cache_key", request.cache_key);
    body.boolean("store", false);
    body.list("include", std::initializer_list<std::string_view>{"reasoning.encrypted_content"}, wire::append_json_string);
    body.boolean("stream", true);
  }
  return out;
}

std::unique_ptr<Scheme> make_openai_responses_scheme() { return std::make_unique<OpenAiResponsesScheme>(); }

}  // namespace insomnia::llm
