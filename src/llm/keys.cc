#include "base/io.hh"
#include "base/text.hh"
#include "llm/catalogue.hh"
#include "llm/secrets.hh"

namespace insomnia::llm {

namespace {

constexpr std::string_view kOurPrefix = "INSOMNIA_API_KEY_";
constexpr size_t kMaxKeyFile = 64 << 10;

/// The variable of a scheme's own vendor.
std::string_view scheme_variable(std::string_view scheme) {
  if (scheme == "anthropic") return "INSOMNIA_API_KEY_ANTHROPIC";
  if (scheme == "openai_chat" || scheme == "openai_responses") return "INSOMNIA_API_KEY_OPENAI";
  if (scheme == "gemini") return "INSOMNIA_API_KEY_GEMINI";
  return "";
}

/// The variables to look into, in order. INSOMNIA_API_KEY_X also stands for the X_API_KEY that other tools use; a variable that
/// the manifest chose stands for itself alone.
std::vector<std::string> variables_for(ModelConfig const& model) {
  std::string_view first = model.auth.env.empty() ? scheme_variable(model.scheme) : std::string_view(model.auth.env);
  std::vector<std::string> names;
  if (!first.empty()) names.emplace_back(first);
  if (first.starts_with(kOurPrefix)) names.push_back(std::string(first.substr(kOurPrefix.size())) + "_API_KEY");
  if (first == "INSOMNIA_API_KEY_GEMINI") names.emplace_back("GOOGLE_API_KEY");
  return names;
}

std::string upper(std::string_view word) {
  std::string result(word);
  for (char& c : result) c = c == '-' || c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return result;
}

std::string name_of(ModelConfig const& model) {
  return model.provider_id.empty() ? model.model_id : model.provider_id + "/" + model.model_id;
}

Result<std::string> read_key_file(std::string const& path) {
  if (!path.starts_with('/')) {
    return fail(Code::InvalidArgument, "model.auth.file must be an absolute path: " + path);
  }
  std::string content = TRY(io::read_file(path, kMaxKeyFile));
  std::string key(text::trim(content));
  if (key.empty()) return fail(Code::InvalidArgument, "the key file " + path + " is empty");
  if (key.find_first_of("\r\n") != key.npos) {
    return fail(Code::InvalidArgument, "the key file " + path + " has more than one line; it must hold the key alone");
  }
  return key;
}

}  // namespace

Result<std::string> resolve_key(ModelConfig const& model, Environment const& environment) {
  using Kind = manifest::Auth::Kind;
  switch (model.auth.kind) {
    case Kind::None: return std::string();
    case Kind::CodexOauth:
      return fail(Code::Unsupported, "model " + name_of(model) +
                                         ": the login of another product (codex_oauth) is not used by insomnia; choose a provider "
                                         "with an API key, or set model.auth = { kind = \"api_key\" }");
    case Kind::SecretRef: {
      auto stored = read_secret(environment, model.auth.ref);
      if (!stored) return std::unexpected(std::move(stored).error().with_context("model " + name_of(model)));
      if (!*stored) return fail(Code::NotFound, "model " + name_of(model) + ": there is no secret `" + text::one_line(model.auth.ref, 64) + "`; `insomnia secret set " + text::one_line(model.auth.ref, 64) + "` stores it");
      return **stored;
    }
    case Kind::ApiKey: break;
  }
  std::vector<std::string> names = variables_for(model);
  for (std::string const& name : names) {
    if (auto value = environment.get(name)) {
      std::string key(text::trim(*value));
      if (!key.empty()) return key;
    }
  }
  if (!model.auth.file.empty()) return read_key_file(model.auth.file);
  if (is_secret_name(model.provider_id)) {
    if (auto stored = TRY(read_secret(environment, model.provider_id))) return *stored;
  }
  return fail(Code::NotFound, "no API key for model " + name_of(model) + " (scheme " + model.scheme + "): set " +
                                  (names.empty() ? "model.auth.env" : text::join(names, " or ")) +
                                  (model.provider_id.empty() ? "" : ", or store it with `insomnia secret set " + model.provider_id + "`") + ", or name a file with model.auth.file");
}

std::string effective_base_url(ModelConfig const& model, Environment const& environment) {
  if (model.base_url_is_set) return model.base_url;
  std::string vendor = model.provider_id;
  // One that names neither provider nor address is the vendor's own service.
  if (vendor.empty() && model.base_url.empty()) vendor = model.scheme == "anthropic" ? "anthropic" : model.scheme == "gemini" ? "gemini" : "openai";
  std::vector<std::string> names{upper(vendor) + "_BASE_URL"};
  if (vendor == "gemini") names.emplace_back("GOOGLE_GEMINI_BASE_URL");
  if (vendor == "ollama-local") names = {"OLLAMA_HOST"};
  for (auto const& name : names) {
    auto value = vendor.empty() ? std::nullopt : environment.get(name);
    std::string url(text::trim(value.value_or("")));
    if (url.empty()) continue;
    if (url.find("://") != url.npos || name != "OLLAMA_HOST") return url;
    // host, host:port or 0.0.0.0, as Ollama itself takes it.
    if (url.starts_with("0.0.0.0")) url.replace(0, 7, "127.0.0.1");
    if (url.find(':') == url.npos) url += ":11434";
    return "http://" + url;
  }
  return model.base_url;
}

Result<DefaultModel> default_model(Environment const& environment, std::string const& config_dir, std::function<std::optional<std::string>()> const& local) {
  struct Choice {
    std::string_view provider, variable, model;
  };
  static constexpr Choice kChoices[] = {{"anthropic", "INSOMNIA_API_KEY_ANTHROPIC", "claude-sonnet-4-6"},
                                        {"openai", "INSOMNIA_API_KEY_OPENAI", "gpt-6.1-sol"},
                                        {"gemini", "INSOMNIA_API_KEY_GEMINI", "gemini-3.8-flash"},
                                        {"openrouter", "INSOMNIA_API_KEY_OPENROUTER", "anthropic/claude-sonnet-4.6"}};
  for (auto const& choice : kChoices) {
    ModelConfig model;
    model.auth = {.kind = manifest::Auth::Kind::ApiKey, .env = std::string(choice.variable), .file = "", .ref = ""};
    std::string why;
    for (auto const& name : variables_for(model)) {
      auto value = environment.get(name);
      if (why.empty() && value && !text::trim(*value).empty()) why = "because " + name + " is set";
    }
    auto stored = why.empty() ? read_secret(environment, choice.provider) : Result<std::optional<std::string>>(std::nullopt);
    if (stored && *stored) why = "because there is a key for " + std::string(choice.provider) + " (`insomnia secret list`)";
    if (!why.empty()) return DefaultModel{manifest::ModelManifest{.ref = std::string(choice.provider) + "/" + std::string(choice.model)}, why};
  }
  if (auto model = local ? local() : std::nullopt) {
    return DefaultModel{manifest::ModelManifest{.ref = "ollama-local/" + *model}, "because there is no key of another provider and a local Ollama has it"};
  }
  std::string own_models = config_dir.empty() ? "" : " (own providers and models: " + config_dir + "/providers.toml, models.toml)";
  return fail(Code::NotFound,
              "no model is chosen and no key is found: set ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY or OPENROUTER_API_KEY (or INSOMNIA_API_KEY_ANTHROPIC and so on), store one with "
              "`insomnia secret set anthropic`, start a local Ollama, or choose a model with --model <provider>/<model_id> or in a manifest given with --manifest FILE" +
                  own_models + "; `insomnia demo` runs without a key");
}

std::vector<std::string> request_warnings(ModelConfig const& model, wire::RequestConfig const& config) {
  std::vector<std::string> warnings;
  auto warn = [&](std::string what) { warnings.push_back("model " + name_of(model) + ": " + what); };
  if (model.scheme != "anthropic") return warnings;
  bool budgets = model.capability.reasoning == "budget_tokens" || model.capability.reasoning == "both";
  bool thinking = false;
  if (config.reasoning) {
    if (auto const* label = std::get_if<std::string>(&*config.reasoning)) {
      warn("worker.reasoning = \"" + *label + "\" is not sent: " +
           (budgets ? "this model takes a number of tokens" : "this model takes no reasoning setting"));
    } else if (int64_t budget = std::get<int64_t>(*config.reasoning); !budgets) {
      warn("worker.reasoning is not sent: this model takes no reasoning setting");
    } else if (budget < 0) {
      warn("worker.reasoning = " + std::to_string(budget) + " is not sent: the budget must be a number of tokens");
    } else if (budget > 0) {
      thinking = true;
      if (budget < 1024) warn("worker.reasoning = " + std::to_string(budget) + " is raised to 1024, the least that is possible");
      if (config.max_tokens && budget >= *config.max_tokens) {
        warn("worker.max_tokens is raised by worker.reasoning, which must stay below it");
      }
    }
  }
  if (!thinking) return warnings;
  if (config.temperature) warn("worker.temperature is not sent together with worker.reasoning");
  if (config.top_k) warn("worker.top_k is not sent together with worker.reasoning");
  if (config.top_p && *config.top_p < 0.95) warn("worker.top_p below 0.95 is not sent together with worker.reasoning");
  return warnings;
}

}  // namespace insomnia::llm
