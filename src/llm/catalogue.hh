#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/environment.hh"
#include "base/error.hh"
#include "llm/provider.hh"
#include "loop/event_loop.hh"
#include "manifest/manifest.hh"

namespace insomnia::http {
class Client;
}

namespace insomnia::llm {

class CallGate;

/// How long an HTTP provider waits. Local models may think for minutes before their first word.
struct StreamLimits {
  int64_t connect_ms = 20'000;       ///< name look-up, TCP and TLS
  int64_t first_event_ms = 600'000;  ///< from the start of the call to the first event of the stream
  int64_t idle_ms = 300'000;         ///< between two events; a ping counts as one
  int64_t total_ms = 0;              ///< the whole call; 0: no limit
  friend bool operator==(StreamLimits const&, StreamLimits const&) = default;
};

/// A model with everything that a call needs, except the key itself.
struct ModelConfig {
  std::string scheme;
  std::string provider_id;
  std::string base_url;  ///< empty: the scheme's default
  std::string model_id;
  manifest::Auth auth;
  manifest::Capability capability;
  uint64_t context_window = 200'000;
  /// What an answer may have when the request does not say.
  uint32_t default_max_tokens = 8192;
  /// The manifest itself names the base_url, so the environment does not change it.
  bool base_url_is_set = false;
  /// Of its provider's row; sent with every call.
  std::vector<std::pair<std::string, std::string>> headers;
  StreamLimits limits;
  friend bool operator==(ModelConfig const&, ModelConfig const&) = default;
};

struct ProviderEntry {
  std::string id, display_name, scheme, base_url;
  manifest::Auth auth_hint;
  std::optional<manifest::Capability> default_capability;
  std::optional<uint64_t> default_context_window;
  std::vector<std::pair<std::string, std::string>> headers;  ///< more of them, for every call
  StreamLimits limits;
};
/// What a model costs: US dollars for a million tokens.
struct Price {
  double input = 0, output = 0;
  double cache_read = 0;   ///< input that was in the cache
  double cache_write = 0;  ///< input that goes into it
  /// A call whose input has more tokens than this costs `long_*` for all of it; 0: there is no such step.
  uint64_t long_above = 0;
  double long_input = 0, long_output = 0, long_cache_read = 0, long_cache_write = 0;
  friend bool operator==(Price const&, Price const&) = default;
};
struct ModelEntry {
  std::string id, provider;
  std::optional<manifest::Capability> capability;
  std::optional<uint64_t> context_window, max_context_window;
  std::optional<uint32_t> default_max_tokens;
  std::optional<Price> price;
};

/// The tables of providers and models: builtin (resources/models/*.toml), each replaced as a whole by <config_dir>/providers.toml or
/// models.toml when that file exists.
struct Catalogue {
  std::vector<ProviderEntry> providers;
  std::vector<ModelEntry> models;
  std::string prices_as_of;  ///< the day of the prices, "2026-10-10"; "": there are none
  static Result<Catalogue> load(std::string const& config_dir);

  /// Resolves a manifest's model (spec manifest-profile 7.2). An error of an unknown provider lists the known ones.
  Result<ModelConfig> resolve(manifest::ModelManifest const& model) const;
};

/// A model that nobody chose, and why it is this one, in words: "because OPENAI_API_KEY is set".
struct DefaultModel {
  manifest::ModelManifest model;
  std::string why;
};
/// The model to use when neither manifest nor command line names one: of Anthropic, OpenAI, Gemini and OpenRouter the first that there is a key for (in the
/// environment, or stored), else what a server on this machine has, if `local` says so (its answer is a model id of the provider ollama-local).
/// The error names the variables, the config file and `insomnia demo`.
Result<DefaultModel> default_model(Environment const& environment, std::string const& config_dir, std::function<std::optional<std::string>()> const& local = nullptr);

/// The key for a model: environment first (INSOMNIA_API_KEY_ANTHROPIC, else ANTHROPIC_API_KEY, and so on for the others), then the key file, then what
/// `insomnia secret set <provider>` has stored. Empty where the model needs none. The error names the variables.
Result<std::string> resolve_key(ModelConfig const& model, Environment const& environment);

/// Where the model's service is: what the manifest names, else the variable of its provider (ANTHROPIC_BASE_URL, OPENAI_BASE_URL, GEMINI_BASE_URL,
/// OPENROUTER_BASE_URL, …: the provider's id; OLLAMA_HOST for ollama-local), else the catalogue's. "": the scheme's own.
std::string effective_base_url(ModelConfig const& model, Environment const& environment);

/// Settings of a request that this model will not get or not as they stand, each in a sentence for people; empty: all is sent.
std::vector<std::string> request_warnings(ModelConfig const& model, wire::RequestConfig const& config);

/// What providers are made with. All references outlive the provider.
struct ProviderContext {
  loop::EventLoop& loop;
  http::Client& http;
  Environment const& environment;
  std::string self_program;  ///< the insomnia binary, for the rehearsal model's process
  std::string config_dir;
  std::optional<StreamLimits> limits = std::nullopt;  ///< in place of the model's own
  CallGate* gate = nullptr;                           ///< before every call of an HTTP scheme; none: they are made at once
};

/// A provider for the model: an HTTP scheme, or the rehearsal model's process. A key that is missing is an error here; it is read
/// again for every call, so a key file may be replaced while a Pod runs.
Result<std::unique_ptr<Provider>> make_provider(ModelConfig const& model, ProviderContext const& context);

}  // namespace insomnia::llm
