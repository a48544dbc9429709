#include "base/io.hh"
#include "base/text.hh"
#include "llm/catalogue.hh"

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
  return names;
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
    case Kind::SecretRef:
      return fail(Code::Unsupported, "model " + name_of(model) + ": secret store references are not implemented yet: " +
                                         model.auth.ref + "; use auth = { kind = \"api_key\", env or file }");
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
  return fail(Code::NotFound, "no API key for model " + name_of(model) + " (scheme " + model.scheme + "): set " +
                                  (names.empty() ? "model.auth.env" : text::join(names, " or ")) +
                                  ", or name a file with model.auth.file");
}

Result<manifest::ModelManifest> default_model(Environment const& environment, std::string const& config_dir) {
  for (char const* name : {"INSOMNIA_API_KEY_ANTHROPIC", "ANTHROPIC_API_KEY"}) {
    if (environment.get(name)) return manifest::ModelManifest{.ref = "anthropic/claude-sonnet-4-6"};
  }
  std::string own_models = config_dir.empty() ? "" : " (own providers and models: " + config_dir + "/providers.toml, models.toml)";
  return fail(Code::NotFound,
              "no model is chosen and no key is found: set ANTHROPIC_API_KEY (or INSOMNIA_API_KEY_ANTHROPIC), or choose a model "
              "with --model <provider>/<model_id> or in a manifest given with --manifest FILE" +
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
