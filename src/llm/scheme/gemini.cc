#include "llm/scheme/gemini.hh"

#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "base/json.hh"
#include "base/text.hh"
#include "llm/scheme/turns.hh"
#include "wire/json_writer.hh"

namespace insomnia::llm {
namespace {

namespace bj = boost::json;
using wire::append_json_string;
using wire::ObjectWriter;

/// Takes the place of a signature at calls that another model made.
constexpr char kNoSignature[] = "skip_thought_signature_validator";
constexpr size_t kMaxSchemaDepth = 32;

bj::value converted(bj::value const& schema, size_t depth);

bj::object converted_members(bj::object const& members, size_t depth) {
  bj::object result;
  for (auto const& member : members) result[member.key()] = converted(member.value(), depth);
  return result;
}

bj::array converted_list(bj::array const& schemas, size_t depth) {
  bj::array result;
  for (auto const& schema : schemas) result.push_back(converted(schema, depth));
  return result;
}

std::string upper(std::string_view word) {
  std::string result(word);
  for (char& c : result) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return result;
}

/// A list of types is one type that may be null, or several schemas.
void convert_type(bj::value const& type, bj::object& result) {
  if (auto const* name = type.if_string()) {
    result["type"] = upper(std::string_view(*name));
    return;
  }
  auto const* names = type.if_array();
  if (names == nullptr) return;
  bj::array others;
  for (auto const& name : *names) {
    if (!name.is_string()) continue;
    if (name.get_string() == "null") result["nullable"] = true;
    else others.push_back(bj::object{{"type", upper(std::string_view(name.get_string()))}});
  }
  if (others.size() == 1) result["type"] = others.front().get_object()["type"];
  else if (others.size() > 1) result["anyOf"] = std::move(others);
}

bj::value converted(bj::value const& schema, size_t depth) {
  auto const* object = schema.if_object();
  if (object == nullptr || depth > kMaxSchemaDepth) return bj::object();
  static constexpr std::string_view kTaken[] = {"title",     "description", "nullable",  "enum",    "minItems",  "maxItems", "required",
                                                "minLength", "maxLength",   "pattern",   "minimum", "maximum",   "minProperties", "maxProperties"};
  bj::object result;
  for (auto const& member : *object) {
    std::string_view key = member.key();
    bj::value const& value = member.value();
    if (key == "type") convert_type(value, result);
    else if (key == "properties" && value.is_object()) result["properties"] = converted_members(value.get_object(), depth + 1);
    else if (key == "items") result["items"] = converted(value, depth + 1);
    else if ((key == "anyOf" || key == "oneOf") && value.is_array()) result["anyOf"] = converted_list(value.get_array(), depth + 1);
    else if (key == "const" && value.is_string()) result["enum"] = bj::array{value};
    else if (key == "format" && value.is_string() && (value.get_string() == "date-time" || value.get_string() == "int32" || value.get_string() == "int64")) result["format"] = value;
    else if (std::find(std::begin(kTaken), std::end(kTaken), key) != std::end(kTaken)) result[key] = value;
  }
  // Only words can be listed.
  if (auto const* values = result.if_contains("enum")) {
    bool words = values->is_array() && std::all_of(values->get_array().begin(), values->get_array().end(), [](bj::value const& value) { return value.is_string(); });
    if (!words) result.erase("enum");
    else if (!result.contains("type")) result["type"] = "STRING";
  }
  return result;
}

/// A model that checks the signatures of its calls.
bool checks_signatures(std::string_view model_id) {
  size_t at = model_id.find("gemini-");
  if (at == std::string_view::npos) return false;
  std::string_view version = model_id.substr(at + 7);
  return !version.empty() && version[0] >= '3' && version[0] <= '9';
}

class Contents {
 public:
  Contents(Request const& request, ModelConfig const& model) : model_(model), turns_(turns_of(request.items, model)) {
    for (auto const& item : request.items) {
      if (auto const* call = std::get_if<wire::ToolCall>(&item)) names_[call->call_id] = call->name;
    }
  }

  void write(ObjectWriter& body) {
    std::erase_if(turns_, [](Turn const& turn) { return turn.assistant && !says_something(turn); });
    body.list("contents", turns_, [&](std::string& list, Turn const& turn) {
      ObjectWriter content(list);
      content.string("role", turn.assistant ? "model" : "user");
      std::string& parts = content.key("parts");
      parts += '[';
      size_t begin = parts.size();
      if (turn.assistant) model_parts(parts, turn);
      else user_parts(parts, turn);
      if (parts.size() > begin) parts.pop_back();  // the last comma
      parts += ']';
    });
  }

 private:
  static bool says_something(Turn const& turn) {
    return std::any_of(turn.parts.begin(), turn.parts.end(), [](auto const* part) { return !std::holds_alternative<wire::Reasoning>(*part); });
  }

  void user_parts(std::string& parts, Turn const& turn) const {
    for (auto const* result : turn.results) {
      {
        ObjectWriter part(parts);
        part.object("functionResponse", [&](ObjectWriter& response) {
          response.string("id", result->call_id);
          auto name = names_.find(result->call_id);
          response.string("name", name == names_.end() ? std::string_view("unknown") : std::string_view(name->second));
          response.object("response", [&](ObjectWriter& inner) { inner.string(result->is_error ? "error" : "result", wire::result_text(*result)); });
        });
      }
      parts += ',';
    }
    for (auto const& text : turn.texts) text_part(parts, text, nullptr);
  }

  void text_part(std::string& parts, std::string_view text, std::string const* signature) const {
    {
      ObjectWriter part(parts);
      part.string("text", text);
      if (signature != nullptr) part.string("thoughtSignature", *signature);
    }
    parts += ',';
  }

  void model_parts(std::string& parts, Turn const& turn) const {
    std::map<std::string_view, std::string const*> signatures;
    std::string const* of_text = nullptr;
    size_t last_text = turn.parts.size();
    for (size_t i = 0; i < turn.parts.size(); ++i) {
      if (std::holds_alternative<wire::Message>(*turn.parts[i])) last_text = i;
      auto const* reasoning = std::get_if<wire::Reasoning>(turn.parts[i]);
      if (reasoning == nullptr || !reasoning->signature) continue;
      if (reasoning->id.empty()) of_text = &*reasoning->signature;
      else signatures[reasoning->id] = &*reasoning->signature;
    }
    bool foreign = signatures.empty() && checks_signatures(model_.model_id);
    static std::string const kNone = kNoSignature;
    for (size_t i = 0; i < turn.parts.size(); ++i) {
      if (auto const* message = std::get_if<wire::Message>(turn.parts[i])) text_part(parts, wire::message_text(*message), i == last_text ? of_text : nullptr);
      auto const* call = std::get_if<wire::ToolCall>(turn.parts[i]);
      if (call == nullptr) continue;
      auto it = signatures.find(call->call_id);
      std::string const* signature = it == signatures.end() ? nullptr : it->second;
      if (signature == nullptr && std::exchange(foreign, false)) signature = &kNone;
      {
        ObjectWriter part(parts);
        part.object("functionCall", [&](ObjectWriter& function) {
          function.string("id", call->call_id);
          function.string("name", call->name);
          function.json("args", wire::normalize_arguments(call->arguments));
        });
        if (signature != nullptr) part.string("thoughtSignature", *signature);
      }
      parts += ',';
    }
  }

  ModelConfig const& model_;
  std::vector<Turn> turns_;
  std::map<std::string_view, std::string_view> names_;  ///< of functions, by call
};

void write_generation(ObjectWriter& body, Request const& request, ModelConfig const& model) {
  body.object("generationConfig", [&](ObjectWriter& generation) {
    auto const& config = request.config;
    if (config.max_tokens) generation.uint("maxOutputTokens", *config.max_tokens);
    if (config.temperature) wire::append_json_number(generation.key("temperature"), *config.temperature);
    if (config.top_p) wire::append_json_number(generation.key("topP"), *config.top_p);
    if (config.top_k) generation.uint("topK", *config.top_k);
    if (!config.stop_sequences.empty()) generation.list("stopSequences", config.stop_sequences, append_json_string);
    if (!config.reasoning) return;
    auto const* label = std::get_if<std::string>(&*config.reasoning);
    auto const* budget = std::get_if<int64_t>(&*config.reasoning);
    bool both = model.capability.reasoning == "both";
    bool labelled = label != nullptr && (both || model.capability.reasoning == "effort");
    bool counted = budget != nullptr && (both || model.capability.reasoning == "budget_tokens");
    if (!labelled && !counted) return;
    generation.object("thinkingConfig", [&](ObjectWriter& thinking) {
      thinking.boolean("includeThoughts", true);
      if (labelled) thinking.string("thinkingLevel", upper(*label));
      else thinking.integer("thinkingBudget", *budget);
    });
  });
}

class GeminiScheme final : public Scheme {
 public:
  std::string default_base_url() const override { return "https://generativelanguage.googleapis.com"; }

  std::string url(std::string_view base_url, ModelConfig const& model) const override {
    std::string id = model.model_id;
    if (id.starts_with("models/")) id.erase(0, 7);
    return join_versioned_url(base_url, "/v1beta", "/models/" + id + ":streamGenerateContent?alt=sse");
  }

  void add_headers(std::string_view key, Headers& headers) const override {
    if (!key.empty()) headers.emplace_back("x-goog-api-key", key);
  }

  std::string body(Request const& request, ModelConfig const& model) const override { return build_gemini_body(request, model); }

  std::unique_ptr<Decoder> decoder() const override { return std::make_unique<GeminiDecoder>(); }

  ApiError parse_error(std::string_view body) const override {
    ApiError error = parse_api_error(body);
    auto parsed = json::parse_object(body);
    JsonView inner = JsonView(parsed ? &*parsed : nullptr).child("error");
    if (inner.has("status")) error.code = inner.string("status");
    return error;
  }
};

}  // namespace

std::string gemini_schema(std::string_view json_schema) {
  auto schema = json::parse(json_schema);
  auto result = schema ? converted(*schema, 0) : bj::value(bj::object());
  bj::object& object = result.get_object();
  if (!object.contains("type")) object["type"] = "OBJECT";
  return json::dump(object);
}

std::string build_gemini_body(Request const& request, ModelConfig const& model) {
  std::string out;
  out.reserve(estimated_body_size(request));
  {
    ObjectWriter body(out);
    if (!request.system_prompt.empty()) {
      body.object("systemInstruction", [&](ObjectWriter& instruction) {
        instruction.string("role", "user");
        instruction.list("parts", std::initializer_list<std::string_view>{request.system_prompt}, [](std::string& list, std::string_view text) {
          ObjectWriter part(list);
          part.string("text", text);
        });
      });
    }
    Contents(request, model).write(body);
    if (!request.tools.empty()) {
      body.list("tools", std::initializer_list<int>{0}, [&](std::string& list, int) {
        ObjectWriter tools(list);
        tools.list("functionDeclarations", request.tools, [](std::string& inner, ToolDefinition const& tool) {
          ObjectWriter function(inner);
          function.string("name", tool.name);
          if (!tool.description.empty()) function.string("description", tool.description);
          std::string schema = gemini_schema(tool.input_schema);
          auto parsed = json::parse_object(schema);
          // An object without properties is refused; a function without parameters has none.
          auto const* properties = parsed ? parsed->if_contains("properties") : nullptr;
          if (properties != nullptr && properties->is_object() && !properties->get_object().empty()) function.json("parameters", schema);
        });
      });
      body.object("toolConfig", [](ObjectWriter& config) { config.object("functionCallingConfig", [](ObjectWriter& calling) { calling.string("mode", "AUTO"); }); });
    }
    write_generation(body, request, model);
  }
  return out;
}

std::unique_ptr<Scheme> make_gemini_scheme() { return std::make_unique<GeminiScheme>(); }

}  // namespace insomnia::llm
