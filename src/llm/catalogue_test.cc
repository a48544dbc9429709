#include "llm/catalogue.hh"

#include <sys/stat.h>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/io.hh"
#include "base/paths.hh"
#include "http/client.hh"
#include "llm/local_model.hh"
#include "llm/secrets.hh"

namespace insomnia::llm {
namespace {

using manifest::Auth;
using manifest::ModelManifest;

Environment env(std::map<std::string, std::string, std::less<>> values) { return Environment(std::move(values)); }

class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/insomnia-llm-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TempDir() { (void)io::remove_tree(path_); }
  std::string const& path() const { return path_; }
  std::string write(std::string const& name, std::string_view content) const {
    std::string path = path_ + "/" + name;
    EXPECT_TRUE(io::replace_file(path, content));
    return path;
  }

 private:
  std::string path_;
};

Catalogue builtin() {
  auto catalogue = Catalogue::load("");
  EXPECT_TRUE(catalogue) << catalogue.error().message;
  return catalogue.value_or(Catalogue{});
}

ModelConfig resolved(ModelManifest const& model) {
  auto config = builtin().resolve(model);
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(ModelConfig{});
}

std::string refused(ModelManifest const& model) {
  auto config = builtin().resolve(model);
  EXPECT_FALSE(config);
  return config ? "" : config.error().message;
}

TEST(Catalogue, BuiltinProvidersInTheirOrder) {
  std::vector<std::string> ids;
  for (auto const& provider : builtin().providers) ids.push_back(provider.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"anthropic", "ollama-local", "codex-oauth", "openrouter", "openai", "gemini", "groq", "xai", "mistral", "deepseek", "llama-cpp", "lm-studio", "vllm", "rehearsal"}));
}

TEST(Catalogue, AnthropicHasADefaultCapability) {
  auto const anthropic = builtin().providers.at(0);
  ASSERT_TRUE(anthropic.default_capability);
  EXPECT_EQ(*anthropic.default_capability, (manifest::Capability{.tool_calling = "parallel",
                                                                 .structured_output = "json_schema",
                                                                 .reasoning = "budget_tokens",
                                                                 .vision = true,
                                                                 .explicit_caching = true,
                                                                 .max_breakpoints = 4}));
  EXPECT_EQ(anthropic.default_context_window, 200'000);
}

TEST(Catalogue, EveryModelHasAProviderAndEveryProviderResolvesAnyModel) {
  Catalogue catalogue = builtin();
  for (auto const& model : catalogue.models) {
    EXPECT_TRUE(std::any_of(catalogue.providers.begin(), catalogue.providers.end(), [&](auto const& provider) { return provider.id == model.provider; })) << model.provider;
  }
  for (auto const& provider : catalogue.providers) EXPECT_EQ(resolved({.ref = provider.id + "/any/model"}).model_id, "any/model") << provider.id;
  EXPECT_EQ(catalogue.models.size(), 18u);
}

TEST(Catalogue, LongInputHasItsOwnPrice) {
  Catalogue catalogue = builtin();
  auto model = std::ranges::find(catalogue.models, std::string("gpt-6.1-sol"), &ModelEntry::id);
  ASSERT_NE(model, catalogue.models.end());
  ASSERT_TRUE(model->price);
  EXPECT_EQ(model->price->long_above, 272'000u);
  EXPECT_GT(model->price->long_input, model->price->input);
}

TEST(Catalogue, AProviderHasHeadersAndTimesOfItsOwn) {
  TempDir dir;
  dir.write("providers.toml",
            "[[provider]]\nid = \"mine\"\nscheme = \"openai_chat\"\nbase_url = \"http://h/v1\"\nauth_hint = { kind = \"none\" }\nheaders = { X-Team = \"a\" }\n"
            "limits = { connect_secs = 1, first_event_secs = 2, idle_secs = 3, total_secs = 4 }\n");
  auto catalogue = Catalogue::load(dir.path());
  ASSERT_TRUE(catalogue) << catalogue.error().message;
  auto model = catalogue->resolve({.ref = "mine/m"});
  ASSERT_TRUE(model);
  EXPECT_EQ(model->headers, (std::vector<std::pair<std::string, std::string>>{{"X-Team", "a"}}));
  EXPECT_EQ(model->limits, (StreamLimits{1'000, 2'000, 3'000, 4'000}));
  EXPECT_TRUE(catalogue->resolve({.ref = "mine/m", .base_url = "http://other"})->headers.empty()) << "they are not for somebody else's server";
  for (auto const* bad : {"headers = { \"X Y\" = \"a\" }", "headers = { X = \"a\\nb\" }", "headers = { X = 1 }", "limits = { idle_secs = 0 }", "limits = { other = 1 }"}) {
    dir.write("providers.toml", "[[provider]]\nid = \"mine\"\nscheme = \"openai_chat\"\nauth_hint = { kind = \"none\" }\n" + std::string(bad) + "\n");
    EXPECT_FALSE(Catalogue::load(dir.path())) << bad;
  }
}

// P105.
TEST(Catalogue, TheOldestProvidersHaveModelsOfTheirOwn) {
  Catalogue catalogue = builtin();
  for (auto const& [ref, window] : {std::pair("anthropic/claude-opus-4-8", 1'000'000u), std::pair("anthropic/claude-sonnet-4-6", 1'000'000u), std::pair("anthropic/claude-haiku-4-5", 200'000u),
                                    std::pair("ollama-local/llama3.3", 128'000u), std::pair("ollama-local/qwen3-coder", 256'000u), std::pair("codex-oauth/gpt-5.5", 272'000u),
                                    std::pair("codex-oauth/gpt-5.4", 1'050'000u), std::pair("codex-oauth/gpt-5-codex", 400'000u), std::pair("openrouter/anthropic/claude-opus-4.8", 1'000'000u),
                                    std::pair("openrouter/anthropic/claude-sonnet-4.6", 1'000'000u), std::pair("openrouter/openai/gpt-5.5", 1'050'000u)}) {
    auto row = std::ranges::find_if(catalogue.models, [&](ModelEntry const& entry) { return entry.provider + "/" + entry.id == ref; });
    ASSERT_TRUE(row != catalogue.models.end()) << ref;
    EXPECT_EQ(row->context_window, window) << ref;
    EXPECT_FALSE(row->max_context_window) << ref;
  }
}

// P108.
TEST(Catalogue, AWindowIsNotCutWhereTheModelHasNoMaximum) {
  EXPECT_EQ(resolved({.ref = "codex-oauth/gpt-5.5", .context_window = 300'000}).context_window, 300'000u);
}

TEST(Catalogue, ARefMergesModelRowAndProvider) {
  ModelConfig config = resolved({.ref = "anthropic/claude-sonnet-4-6"});
  EXPECT_EQ(config.scheme, "anthropic");
  EXPECT_EQ(config.provider_id, "anthropic");
  EXPECT_EQ(config.model_id, "claude-sonnet-4-6");
  EXPECT_EQ(config.base_url, "https://api.anthropic.com");
  EXPECT_EQ(config.auth, (Auth{.kind = Auth::Kind::ApiKey, .env = "INSOMNIA_API_KEY_ANTHROPIC"}));
  EXPECT_EQ(config.capability.reasoning, "budget_tokens");
  EXPECT_TRUE(config.capability.explicit_caching);
  EXPECT_EQ(config.context_window, 1'000'000u);
  EXPECT_GE(config.default_max_tokens, 8192u);
  EXPECT_FALSE(config.base_url_is_set);
}

TEST(Catalogue, ManifestValuesWin) {
  Auth auth{.kind = Auth::Kind::ApiKey, .env = "MINE"};
  ModelConfig config = resolved({.ref = "anthropic/claude-sonnet-4-6",
                                 .scheme = "rehearsal",
                                 .base_url = "http://h",
                                 .model_id = "other",
                                 .auth = auth,
                                 .capability = manifest::Capability{.tool_calling = "none"},
                                 .context_window = 5'000});
  EXPECT_EQ(config.scheme, "rehearsal");
  EXPECT_EQ(config.base_url, "http://h");
  EXPECT_TRUE(config.base_url_is_set);
  EXPECT_EQ(config.model_id, "other");
  EXPECT_EQ(config.auth, auth);
  EXPECT_EQ(config.capability, manifest::Capability{.tool_calling = "none"});
  EXPECT_EQ(config.context_window, 5'000u);
}

TEST(Catalogue, TheWindowIsClampedByTheMaximum) {
  EXPECT_EQ(resolved({.ref = "anthropic/claude-sonnet-4-6", .max_context_window = 500'000}).context_window, 500'000u);
  EXPECT_EQ(resolved({.ref = "codex-oauth/gpt-5.5"}).context_window, 272'000u);
}

TEST(Catalogue, ARefIsSplitAtItsFirstSlash) {
  ModelConfig config = resolved({.ref = "openrouter/anthropic/claude-sonnet-4.6"});
  EXPECT_EQ(config.provider_id, "openrouter");
  EXPECT_EQ(config.model_id, "anthropic/claude-sonnet-4.6");
  EXPECT_EQ(config.context_window, 1'000'000u);
}

TEST(Catalogue, AnUnknownModelHasItsProvidersDefaults) {
  ModelConfig config = resolved({.ref = "ollama-local/something-new"});
  EXPECT_EQ(config.model_id, "something-new");
  EXPECT_EQ(config.context_window, 128'000u);
  EXPECT_EQ(config.capability.tool_calling, "parallel");
  EXPECT_FALSE(config.capability.explicit_caching);
  EXPECT_EQ(config.default_max_tokens, 8192u);
}

TEST(Catalogue, AnUnknownProviderIsRefusedWithTheKnownOnes) {
  std::string message = refused({.ref = "nobody/model"});
  EXPECT_NE(message.find("`nobody`"), std::string::npos) << message;
  EXPECT_NE(message.find("anthropic, ollama-local, codex-oauth, openrouter, openai, gemini, groq, xai,"), std::string::npos) << message;
}

TEST(Catalogue, AMalformedRefIsRefused) {
  for (auto ref : {"no-slash", "/model", "provider/", ""}) {
    EXPECT_NE(refused({.ref = ref}).find("must be `<provider>/<model_id>`"), std::string::npos) << ref;
  }
}

TEST(Catalogue, AnInlineModelNeedsSchemeModelAndAuthInThisOrder) {
  EXPECT_NE(refused({}).find("(missing: scheme)"), std::string::npos);
  EXPECT_NE(refused({.scheme = "anthropic"}).find("(missing: model_id)"), std::string::npos);
  EXPECT_NE(refused({.scheme = "anthropic", .model_id = "m"}).find("(missing: auth)"), std::string::npos);
}

TEST(Catalogue, AnInlineModelHasPlainDefaults) {
  ModelManifest model{.scheme = "anthropic", .model_id = "m", .auth = Auth{}};
  ModelConfig config = resolved(model);
  EXPECT_EQ(config.context_window, 200'000u);
  EXPECT_EQ(config.capability, manifest::Capability{});
  EXPECT_EQ(config.base_url, "");
  model.context_window = 1'000'000;
  EXPECT_EQ(resolved(model).context_window, 1'000'000u);
  model.max_context_window = 272'000;
  EXPECT_EQ(resolved(model).context_window, 272'000u);
}

TEST(Catalogue, PricesHaveTheirDay) {
  auto catalogue = Catalogue::load("");
  ASSERT_TRUE(catalogue) << catalogue.error().message;
  EXPECT_EQ(catalogue->prices_as_of.size(), 10u);
  auto sonnet = std::find_if(catalogue->models.begin(), catalogue->models.end(), [](ModelEntry const& entry) { return entry.id == "claude-sonnet-4-6"; });
  ASSERT_TRUE(sonnet != catalogue->models.end());
  EXPECT_EQ(sonnet->price, (Price{.input = 3, .output = 15, .cache_read = 0.3, .cache_write = 3.75}));
}

TEST(Catalogue, AUserFileReplacesItsTableAlone) {
  TempDir dir;
  dir.write("providers.toml",
            "[[provider]]\nid = \"mine\"\ndisplay_name = \"Mine\"\nscheme = \"anthropic\"\nauth_hint = { kind = \"none\" }\n");
  auto catalogue = Catalogue::load(dir.path());
  ASSERT_TRUE(catalogue) << catalogue.error().message;
  ASSERT_EQ(catalogue->providers.size(), 1u);
  EXPECT_EQ(catalogue->providers[0].id, "mine");
  EXPECT_EQ(catalogue->models.size(), 18u);
}

TEST(Catalogue, ABrokenUserFileIsAnErrorWithItsPlace) {
  struct Case {
    char const* text;
    char const* expected;
  };
  for (auto const& [text, expected] : std::vector<Case>{
           {"[[provider]\n", "providers.toml:1"},
           {"\n[[provider]]\nid = \"x\"\nscheme = \"smoke\"\nauth_hint = { kind = \"none\" }\n", "providers.toml:2: provider[0].scheme"},
           {"[[provider]]\nid = \"x\"\nscheme = \"anthropic\"\nauth_hint = { kind = \"none\" }\ncolour = 1\n", "colour"},
           {"[[provider]]\nid = \"x\"\nscheme = \"anthropic\"\n", "auth_hint"},
           {"[[provider]]\nid = \"a/b\"\nscheme = \"anthropic\"\nauth_hint = { kind = \"none\" }\n", "provider[0].id"},
           {"[[provider]]\nid = \"x\"\nscheme = \"anthropic\"\nauth_hint = { kind = \"magic\" }\n", "magic"},
           {"[[model]]\nid = \"x\"\n", "model"},
           {"provider = 3\n", "provider"}}) {
    TempDir dir;
    dir.write("providers.toml", text);
    auto catalogue = Catalogue::load(dir.path());
    ASSERT_FALSE(catalogue) << text;
    EXPECT_NE(catalogue.error().message.find(expected), std::string::npos) << text << " gave: " << catalogue.error().message;
  }
}

// ---- Keys

ModelConfig anthropic() { return resolved({.ref = "anthropic/claude-sonnet-4-6"}); }

TEST(Keys, OursIsTakenBeforeTheVendors) {
  EXPECT_EQ(resolve_key(anthropic(), env({{"INSOMNIA_API_KEY_ANTHROPIC", "a"}, {"ANTHROPIC_API_KEY", "b"}})), "a");
  EXPECT_EQ(resolve_key(anthropic(), env({{"ANTHROPIC_API_KEY", " b\n"}})), "b");
}

TEST(Keys, AMissingKeyNamesTheVariables) {
  auto key = resolve_key(anthropic(), env({{"ANTHROPIC_API_KEY", "  "}}));
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, Code::NotFound);
  EXPECT_NE(key.error().message.find("INSOMNIA_API_KEY_ANTHROPIC or ANTHROPIC_API_KEY"), std::string::npos) << key.error().message;
}

TEST(Keys, AVariableOfTheManifestStandsForItselfAlone) {
  ModelConfig model = anthropic();
  model.auth.env = "MY_KEY";
  EXPECT_EQ(resolve_key(model, env({{"MY_KEY", "m"}})), "m");
  EXPECT_FALSE(resolve_key(model, env({{"ANTHROPIC_API_KEY", "b"}})));
}

TEST(Keys, AFileComesAfterTheEnvironmentAndIsTrimmed) {
  TempDir dir;
  ModelConfig model = anthropic();
  model.auth.file = dir.write("key", "  from-file\n");
  EXPECT_EQ(resolve_key(model, env({})), "from-file");
  EXPECT_EQ(resolve_key(model, env({{"ANTHROPIC_API_KEY", "b"}})), "b");
}

TEST(Keys, ABadKeyFileIsNamedButNeverShown) {
  TempDir dir;
  ModelConfig model = anthropic();
  for (auto const& path : {std::string("relative/key"), dir.path() + "/missing", dir.write("empty", " \n"),
                           dir.write("two", "secret-1\nsecret-2\n")}) {
    model.auth.file = path;
    auto key = resolve_key(model, env({}));
    ASSERT_FALSE(key);
    EXPECT_NE(key.error().message.find(path), std::string::npos) << key.error().message;
    EXPECT_EQ(key.error().message.find("secret"), std::string::npos) << key.error().message;
  }
}

TEST(Keys, NoneIsNeededWhereAuthSaysSo) { EXPECT_EQ(resolve_key(resolved({.ref = "ollama-local/llama3.3"}), env({})), ""); }

TEST(Keys, ForeignLoginsAndSecretReferencesAreRefusedClearly) {
  auto codex = resolve_key(resolved({.ref = "codex-oauth/gpt-5.5"}), env({}));
  ASSERT_FALSE(codex);
  EXPECT_EQ(codex.error().code, Code::Unsupported);
  EXPECT_NE(codex.error().message.find("codex_oauth"), std::string::npos);
  ModelConfig model = anthropic();
  model.auth = {.kind = Auth::Kind::SecretRef, .ref = "vault:x"};
  auto secret = resolve_key(model, env({}));
  ASSERT_FALSE(secret);
  EXPECT_NE(secret.error().message.find("vault:x"), std::string::npos);
}

TEST(DefaultModel, FollowsTheKeyThatIsFoundAndSaysWhy) {
  for (auto [name, ref] : {std::pair{"INSOMNIA_API_KEY_ANTHROPIC", "anthropic/claude-sonnet-4-6"}, {"ANTHROPIC_API_KEY", "anthropic/claude-sonnet-4-6"}, {"OPENAI_API_KEY", "openai/gpt-6.1-sol"},
                           {"GEMINI_API_KEY", "gemini/gemini-3.8-flash"}, {"GOOGLE_API_KEY", "gemini/gemini-3.8-flash"}, {"OPENROUTER_API_KEY", "openrouter/anthropic/claude-sonnet-4.6"}}) {
    auto chosen = default_model(env({{name, "k"}}), "/c", [] { return std::optional<std::string>("local"); });
    ASSERT_TRUE(chosen) << name;
    EXPECT_EQ(chosen->model, ModelManifest{.ref = ref});
    EXPECT_EQ(chosen->why, "because " + std::string(name) + " is set");
    EXPECT_TRUE(builtin().resolve(chosen->model));
  }
  EXPECT_EQ(default_model(env({{"ANTHROPIC_API_KEY", " "}, {"GEMINI_API_KEY", "k"}}), "/c")->model.ref, "gemini/gemini-3.8-flash") << "a blank variable is no key";
}

TEST(DefaultModel, WithoutAnyKeyItIsWhatThisMachineHas) {
  auto chosen = default_model(env({}), "/c", [] { return std::optional<std::string>("qwen3"); });
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->model.ref, "ollama-local/qwen3");
  EXPECT_NE(chosen->why.find("local Ollama"), std::string::npos);
}

TEST(DefaultModel, WithoutAKeyTheErrorNamesEveryWayOut) {
  auto model = default_model(env({}), "/home/u/.config/insomnia", [] { return std::optional<std::string>(); });
  ASSERT_FALSE(model);
  for (auto part : {"ANTHROPIC_API_KEY", "INSOMNIA_API_KEY_ANTHROPIC", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY", "insomnia secret set", "Ollama", "--model", "--manifest",
                    "insomnia demo", "/home/u/.config/insomnia"}) {
    EXPECT_NE(model.error().message.find(part), std::string::npos) << part;
  }
}

TEST(Secrets, AreStoredForTheirOwnerAloneAndFoundAfterAllElse) {
  TempDir dir;
  auto home = env({{"INSOMNIA_HOME", dir.path()}});
  EXPECT_EQ(list_secrets(home), std::vector<std::string>{});
  EXPECT_FALSE(*read_secret(home, "openai"));
  ASSERT_TRUE(write_secret(home, "openai", " sk-1 \n"));
  ASSERT_TRUE(write_secret(home, "openai", "sk-2"));
  ASSERT_TRUE(write_secret(home, "work", "sk-w"));
  EXPECT_EQ(*read_secret(home, "openai"), "sk-2");
  EXPECT_EQ(list_secrets(home), (std::vector<std::string>{"openai", "work"}));
  std::string path = Paths::resolve(home).config_dir + "/secrets/openai";
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ModelConfig model = resolved({.ref = "openai/gpt-6.1-sol"});
  EXPECT_EQ(resolve_key(model, home), "sk-2");
  EXPECT_EQ(resolve_key(model, env({{"INSOMNIA_HOME", dir.path()}, {"OPENAI_API_KEY", "sk-env"}})), "sk-env");
  EXPECT_EQ(default_model(home, "/c")->model.ref, "openai/gpt-6.1-sol");
  model.auth = {.kind = Auth::Kind::SecretRef, .ref = "work"};
  EXPECT_EQ(resolve_key(model, home), "sk-w");
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  auto open = read_secret(home, "openai");
  ASSERT_FALSE(open);
  EXPECT_NE(open.error().message.find("chmod 600"), std::string::npos);
  EXPECT_EQ(open.error().message.find("sk-2"), std::string::npos);
  EXPECT_EQ(*remove_secret(home, "openai"), true);
  EXPECT_EQ(*remove_secret(home, "openai"), false);
  for (auto const* name : {"", ".hidden", "../x", "a/b", "ü"}) EXPECT_FALSE(write_secret(home, name, "x")) << name;
  for (auto const* secret : {"", "  ", "a\nb"}) EXPECT_FALSE(write_secret(home, "x", secret)) << secret;
}

TEST(BaseUrl, TheManifestThenTheEnvironmentThenTheCatalogue) {
  ModelConfig model = resolved({.ref = "openrouter/m"});
  EXPECT_EQ(effective_base_url(model, env({})), "https://openrouter.ai/api/v1");
  EXPECT_EQ(effective_base_url(model, env({{"OPENROUTER_BASE_URL", "http://h"}, {"OPENAI_BASE_URL", "http://other"}})), "http://h");
  model.base_url_is_set = true;
  EXPECT_EQ(effective_base_url(model, env({{"OPENROUTER_BASE_URL", "http://h"}})), "https://openrouter.ai/api/v1");
  EXPECT_EQ(effective_base_url(resolved({.ref = "gemini/m"}), env({{"GOOGLE_GEMINI_BASE_URL", "http://g"}})), "http://g");
  EXPECT_EQ(effective_base_url(resolved({.scheme = "openai_chat", .model_id = "m", .auth = Auth{}}), env({{"OPENAI_BASE_URL", "http://o"}})), "http://o");
  EXPECT_EQ(effective_base_url(resolved({.scheme = "openai_chat", .base_url = "http://mine", .model_id = "m", .auth = Auth{}}), env({{"OPENAI_BASE_URL", "http://o"}})), "http://mine");
  ModelConfig ollama = resolved({.ref = "ollama-local/m"});
  for (auto [host, url] : {std::pair{"box", "http://box:11434"}, {"0.0.0.0:9000", "http://127.0.0.1:9000"}, {"https://box/", "https://box/"}})
    EXPECT_EQ(effective_base_url(ollama, env({{"OLLAMA_HOST", host}})), url);
}

TEST(LocalModel, TheOneThatWasUsedLastAndCanCallTools) {
  EXPECT_EQ(choose_local_model(R"({"models":[{"name":"old:latest","modified_at":"2025-01-01"},{"name":"nomic-embed-text","modified_at":"2027-01-01"},{"model":"qwen3:8b","modified_at":"2026-01-01"}]})"), "qwen3:8b");
  EXPECT_EQ(choose_local_model(R"({"models":[{"name":"a:latest","modified_at":"1","capabilities":["completion","tools"]},{"name":"b","modified_at":"2","capabilities":["completion"]}]})"), "a");
  EXPECT_FALSE(choose_local_model(R"({"models":[]})"));
  EXPECT_FALSE(choose_local_model("rubbish"));
}

// ---- make_provider

struct Fixture {
  SystemClock clock;
  loop::EventLoop loop{clock};
  Environment environment;
  http::Client http{loop, environment};
  ProviderContext context{.loop = loop, .http = http, .environment = environment, .self_program = "", .config_dir = ""};
};

TEST(MakeProvider, BuildsWithoutAKeyWhereNoneIsNeeded) {
  Fixture f;
  EXPECT_TRUE(make_provider(resolved({.ref = "ollama-local/llama3.3"}), f.context));
  EXPECT_TRUE(make_provider(resolved({.scheme = "anthropic", .model_id = "m", .auth = Auth{}}), f.context));
}

TEST(MakeProvider, AMissingKeyIsToldAtOnce) {
  Fixture f;
  auto provider = make_provider(anthropic(), f.context);
  ASSERT_FALSE(provider);
  EXPECT_EQ(provider.error().code, Code::NotFound);
}

TEST(MakeProvider, EverySchemeIsThere) {
  Fixture f;
  for (auto scheme : {"anthropic", "openai_chat", "openai_responses", "gemini"}) {
    EXPECT_TRUE(make_provider(resolved({.scheme = scheme, .model_id = "m", .auth = Auth{}}), f.context)) << scheme;
  }
}

// ---- Warnings

TEST(RequestWarnings, NoneWhereEverythingIsSent) {
  EXPECT_TRUE(request_warnings(anthropic(), {.max_tokens = 4096, .temperature = 0.5, .top_k = 3}).empty());
  EXPECT_TRUE(request_warnings(anthropic(), {.reasoning = int64_t{2048}}).empty());
}

TEST(RequestWarnings, TellWhatIsDroppedOrChanged) {
  auto count = [](wire::RequestConfig const& config) { return request_warnings(anthropic(), config).size(); };
  EXPECT_EQ(count({.reasoning = "high"}), 1u);
  EXPECT_EQ(count({.reasoning = int64_t{-1}}), 1u);
  EXPECT_EQ(count({.reasoning = int64_t{5}}), 1u);
  EXPECT_EQ(count({.max_tokens = 2000, .reasoning = int64_t{2000}}), 1u);
  EXPECT_EQ(count({.temperature = 0.1, .top_p = 0.5, .top_k = 1, .reasoning = int64_t{2048}}), 3u);
  ModelConfig none = anthropic();
  none.capability.reasoning = "";
  EXPECT_EQ(request_warnings(none, {.reasoning = int64_t{2048}}).size(), 1u);
}

}  // namespace
}  // namespace insomnia::llm
