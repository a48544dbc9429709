#include "llm/catalogue.hh"

#include <algorithm>
#include <boost/json.hpp>

#include "base/io.hh"
#include "base/json.hh"
#include "base/log.hh"
#include "base/resource.hh"
#include "base/text.hh"
#include "manifest/toml_document.hh"

namespace insomnia::llm {

namespace {

constexpr size_t kMaxFile = 1 << 20;
constexpr uint64_t kDefaultContextWindow = 200'000;
constexpr std::string_view kSchemes = "anthropic, openai_chat, openai_responses, gemini, rehearsal";

bool is_scheme(std::string_view name) {
  return name == "anthropic" || name == "openai_chat" || name == "openai_responses" || name == "gemini" ||
         name == "rehearsal";
}

/// A table file: the user's, or else the one in the binary.
struct Source {
  std::string name;
  std::string text;
};

Result<Source> find_source(std::string const& config_dir, std::string const& file) {
  if (!config_dir.empty()) {
    std::string path = config_dir + "/" + file;
    if (io::exists(path)) return Source{path, TRY(io::read_file(path, kMaxFile))};
  }
  auto builtin = base::find_resource("models/" + file);
  if (!builtin) panic("the binary lacks its resource models/" + file);
  return Source{"builtin " + file, std::string(*builtin)};
}

/// Auth and capability look the same here and in a manifest, so the manifest's decoder reads them.
Result<manifest::ModelManifest> decode_model_part(boost::json::object const& row, std::string_view auth_key,
                                                  std::string_view capability_key) {
  boost::json::object part;
  if (auto const* auth = auth_key.empty() ? nullptr : row.if_contains(auth_key)) part.emplace("auth", *auth);
  if (auto const* capability = row.if_contains(capability_key)) part.emplace("capability", *capability);
  boost::json::object config;
  config.emplace("model", std::move(part));
  return TRY(manifest::parse_json(json::dump(config))).model;
}

void reject_zero(json::Reader& reader, std::string_view key, std::optional<uint64_t> value) {
  if (value == 0) reader.reject(key, "must be at least 1");
}

/// `limits`: seconds.
Result<StreamLimits> decode_limits(boost::json::object const& object, std::string const& where) {
  json::Reader reader(object, where);
  StreamLimits limits;
  auto take = [&](std::string_view key, int64_t& milliseconds) {
    auto seconds = reader.optional_uint(key);
    if (seconds && (*seconds == 0 || *seconds > 86'400)) reader.reject(key, "must be between 1 and 86400 seconds");
    else if (seconds) milliseconds = static_cast<int64_t>(*seconds) * 1000;
  };
  take("connect_secs", limits.connect_ms);
  take("first_event_secs", limits.first_event_ms);
  take("idle_secs", limits.idle_ms);
  take("total_secs", limits.total_ms);
  TRY(reader.finish_strict());
  return limits;
}

Result<std::vector<std::pair<std::string, std::string>>> decode_headers(boost::json::object const& object, std::string const& where) {
  json::Reader reader(object, where);
  std::vector<std::pair<std::string, std::string>> headers;
  for (auto const& member : object) {
    std::string name(member.key()), value = reader.string(name);
    bool plain = name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == name.npos && !name.empty();
    if (!plain) reader.reject(name, "is no name of a header");
    if (value.find_first_of("\r\n") != value.npos) reader.reject(name, "must be one line");
    headers.emplace_back(std::move(name), std::move(value));
  }
  TRY(reader.finish());
  return headers;
}

Result<ProviderEntry> decode_provider(boost::json::object const& row, std::string const& where) {
  json::Reader reader(row, where);
  ProviderEntry entry;
  entry.id = reader.string("id");
  if (entry.id.empty() || entry.id.find('/') != entry.id.npos) reader.reject("id", "must be a name without '/'");
  entry.display_name = reader.string_or("display_name", entry.id);
  entry.scheme = reader.string("scheme");
  if (reader.ok() && !is_scheme(entry.scheme)) reader.reject("scheme", "must be one of " + std::string(kSchemes));
  entry.base_url = reader.string_or("base_url", "");
  entry.default_context_window = reader.optional_uint("default_context_window");
  reject_zero(reader, "default_context_window", entry.default_context_window);
  reader.require_object("auth_hint");
  reader.object("default_capability");
  auto const* headers = reader.object("headers");
  auto const* limits = reader.object("limits");
  TRY(reader.finish_strict());
  if (headers != nullptr) entry.headers = TRY(decode_headers(*headers, where + ".headers"));
  if (limits != nullptr) entry.limits = TRY(decode_limits(*limits, where + ".limits"));
  manifest::ModelManifest part = TRY(decode_model_part(row, "auth_hint", "default_capability"));
  entry.auth_hint = *part.auth;
  entry.default_capability = part.capability;
  return entry;
}

Result<Price> decode_price(boost::json::object const& object, std::string const& where) {
  json::Reader reader(object, where);
  auto take = [&](std::string_view key) {
    auto dollars = reader.optional_number(key);
    if (!dollars || !(*dollars >= 0 && *dollars < 1e6)) reader.reject(key, "must be dollars for a million tokens");
    return dollars.value_or(0);
  };
  Price price{.input = take("input"), .output = take("output"), .cache_read = take("cache_read"), .cache_write = take("cache_write")};
  auto const* above = reader.object("long");
  TRY(reader.finish_strict());
  if (above == nullptr) return price;
  json::Reader inner(*above, where + ".long");
  auto take_long = [&](std::string_view key) {
    auto dollars = inner.optional_number(key);
    if (!dollars || !(*dollars >= 0 && *dollars < 1e6)) inner.reject(key, "must be dollars for a million tokens");
    return dollars.value_or(0);
  };
  price.long_above = inner.uint("above");
  price.long_input = take_long("input");
  price.long_output = take_long("output");
  price.long_cache_read = take_long("cache_read");
  price.long_cache_write = take_long("cache_write");
  reject_zero(inner, "above", price.long_above);
  TRY(inner.finish_strict());
  return price;
}

Result<ModelEntry> decode_model(boost::json::object const& row, std::string const& where) {
  json::Reader reader(row, where);
  ModelEntry entry;
  entry.id = reader.string("id");
  entry.provider = reader.string("provider");
  if (entry.id.empty()) reader.reject("id", "must not be empty");
  entry.context_window = reader.optional_uint("context_window");
  entry.max_context_window = reader.optional_uint("max_context_window");
  reject_zero(reader, "context_window", entry.context_window);
  reject_zero(reader, "max_context_window", entry.max_context_window);
  if (auto tokens = reader.optional_uint("default_max_tokens")) {
    if (*tokens == 0 || *tokens > 100'000'000) reader.reject("default_max_tokens", "must be between 1 and 100000000");
    entry.default_max_tokens = static_cast<uint32_t>(*tokens);
  }
  reader.object("capability");
  auto const* price = reader.object("price");
  TRY(reader.finish_strict());
  if (price != nullptr) entry.price = TRY(decode_price(*price, where + ".price"));
  entry.capability = TRY(decode_model_part(row, "", "capability")).capability;
  return entry;
}

/// Reads the rows `[[key]]` of a file that has nothing else, but for a text `date` where one is wanted.
template <class Entry>
Result<std::vector<Entry>> load_rows(Source const& source, std::string const& key,
                                     Result<Entry> (*decode)(boost::json::object const&, std::string const&), std::string* date = nullptr) {
  manifest::Positions positions;
  boost::json::object document = TRY(manifest::parse_toml_document(source.text, source.name, positions));
  json::Reader reader(document);
  auto const* rows = reader.array(key);
  if (date != nullptr) *date = reader.string_or("prices_as_of", "");
  if (auto finished = reader.finish_strict(); !finished) {
    return std::unexpected(std::move(finished).error().with_context(source.name));
  }
  std::vector<Entry> entries;
  for (size_t i = 0; rows != nullptr && i < rows->size(); ++i) {
    std::string where = manifest::index_path(key, i);
    auto const* row = (*rows)[i].if_object();
    auto position = positions.find(where);
    std::string place = source.name;
    if (position != positions.end()) place += ":" + std::to_string(position->second.line);
    if (row == nullptr) return fail(Code::InvalidArgument, place + ": " + where + ": must be a table");
    auto entry = decode(*row, where);
    if (!entry) return std::unexpected(std::move(entry).error().with_context(place));
    entries.push_back(std::move(*entry));
  }
  return entries;
}

manifest::Auth auth_from_hint(manifest::Auth hint) {
  hint.file.clear();
  return hint;
}

Result<ModelConfig> resolve_inline(manifest::ModelManifest const& model) {
  char const* missing = !model.scheme ? "scheme" : !model.model_id ? "model_id" : !model.auth ? "auth" : nullptr;
  if (missing != nullptr) {
    return fail(Code::InvalidArgument,
                std::string("model.ref omitted; manifest must specify scheme, model_id, and auth (missing: ") + missing +
                    "); or give ref = \"<provider>/<model_id>\"");
  }
  ModelConfig config;
  config.scheme = *model.scheme;
  config.base_url = model.base_url.value_or("");
  config.base_url_is_set = model.base_url.has_value();
  config.model_id = *model.model_id;
  config.auth = *model.auth;
  config.capability = model.capability.value_or(manifest::Capability{});
  config.context_window = model.context_window.value_or(kDefaultContextWindow);
  if (model.max_context_window) config.context_window = std::min(config.context_window, *model.max_context_window);
  return config;
}

}  // namespace

Result<Catalogue> Catalogue::load(std::string const& config_dir) {
  Source providers = TRY(find_source(config_dir, "providers.toml"));
  Source models = TRY(find_source(config_dir, "models.toml"));
  Catalogue catalogue;
  catalogue.providers = TRY(load_rows<ProviderEntry>(providers, "provider", decode_provider));
  catalogue.models = TRY(load_rows<ModelEntry>(models, "model", decode_model, &catalogue.prices_as_of));
  return catalogue;
}

Result<ModelConfig> Catalogue::resolve(manifest::ModelManifest const& model) const {
  if (!model.ref) return resolve_inline(model);
  size_t slash = model.ref->find('/');
  if (slash == 0 || slash == std::string::npos || slash + 1 == model.ref->size()) {
    return fail(Code::InvalidArgument, "model.ref \"" + *model.ref + "\" must be `<provider>/<model_id>`");
  }
  std::string provider_id = model.ref->substr(0, slash), model_id = model.ref->substr(slash + 1);
  auto provider = std::ranges::find(providers, provider_id, &ProviderEntry::id);
  if (provider == providers.end()) {
    std::vector<std::string> known;
    for (auto const& entry : providers) known.push_back(entry.id);
    return fail(Code::NotFound, "unknown provider `" + provider_id + "` in model.ref \"" + *model.ref +
                                    "\"; known providers: " + text::join(known, ", "));
  }
  auto row = std::ranges::find_if(
      models, [&](ModelEntry const& entry) { return entry.provider == provider_id && entry.id == model_id; });
  bool listed = row != models.end();
  // Of a server on this machine nobody expects a list.
  bool has_a_list = std::ranges::find(models, provider_id, &ModelEntry::provider) != models.end() && provider->auth_hint.kind != manifest::Auth::Kind::None;
  if (!listed && has_a_list) {
    log::warn("model " + *model.ref + " is not in the catalogue; the defaults of its provider apply");
  }

  ModelConfig config;
  config.scheme = model.scheme.value_or(provider->scheme);
  config.provider_id = provider_id;
  config.base_url = model.base_url.value_or(provider->base_url);
  config.base_url_is_set = model.base_url.has_value();
  config.model_id = model.model_id.value_or(model_id);
  config.auth = model.auth.value_or(auth_from_hint(provider->auth_hint));
  config.limits = provider->limits;
  // They may hold what is meant for this provider alone.
  if (!config.base_url_is_set) config.headers = provider->headers;
  if (model.capability) {
    config.capability = *model.capability;
  } else if (listed && row->capability) {
    config.capability = *row->capability;
  } else {
    config.capability = provider->default_capability.value_or(manifest::Capability{});
  }
  std::optional<uint64_t> window = model.context_window, cap = model.max_context_window;
  if (listed) {
    if (!window) window = row->context_window;
    if (!cap) cap = row->max_context_window;
    config.default_max_tokens = row->default_max_tokens.value_or(config.default_max_tokens);
  }
  config.context_window = window.value_or(provider->default_context_window.value_or(kDefaultContextWindow));
  if (cap) config.context_window = std::min(config.context_window, *cap);
  return config;
}

}  // namespace insomnia::llm
