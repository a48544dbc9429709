#include "cli/models.hh"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hh"
#include "base/paths.hh"
#include "cli/exit_code.hh"
#include "cli/output.hh"
#include "cli/table.hh"
#include "llm/catalogue.hh"
#include "llm/local_model.hh"

namespace insomnia::cli {
namespace bj = boost::json;

namespace {

struct Row {
  std::string ref, provider;
  uint64_t window = 0;
  std::optional<llm::Price> price;
  std::string key;  ///< found, missing, none needed, not supported
};

std::string key_state(llm::ModelConfig const& model, Environment const& environment) {
  if (model.auth.kind == manifest::Auth::Kind::None) return "none needed";
  // Another product's login.
  if (model.auth.kind == manifest::Auth::Kind::CodexOauth) return "not supported";
  return llm::resolve_key(model, environment) ? "found" : "missing";
}

Result<std::vector<Row>> rows_of(llm::Catalogue const& catalogue, Environment const& environment) {
  std::vector<Row> rows;
  for (auto const& entry : catalogue.models) {
    std::string ref = entry.provider + "/" + entry.id;
    auto model = TRY(catalogue.resolve(manifest::ModelManifest{.ref = ref}));
    rows.push_back({ref, entry.provider, model.context_window, entry.price, key_state(model, environment)});
  }
  return rows;
}

std::string dollars(double value) { return fmt::format("{:g}", value); }

}  // namespace

int list_models(ModelsOptions const& options, Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  auto catalogue = llm::Catalogue::load(paths.config_dir);
  if (!catalogue) return fail_with(catalogue.error());
  auto rows = rows_of(*catalogue, environment);
  if (!rows) return fail_with(rows.error());
  auto chosen = llm::default_model(environment, paths.config_dir, [&] { return llm::local_model(environment); });
  std::string usual = chosen && chosen->model.ref ? *chosen->model.ref : "";
  if (options.json) {
    bj::array list;
    for (auto const& row : *rows) {
      bj::object object{{"ref", row.ref}, {"provider", row.provider}, {"context_window", row.window}, {"key", row.key}, {"default", row.ref == usual}};
      if (row.price) {
        object["price"] = bj::object{{"input", row.price->input},
                                     {"output", row.price->output},
                                     {"cache_read", row.price->cache_read},
                                     {"cache_write", row.price->cache_write},
                                     {"as_of", catalogue->prices_as_of}};
      }
      list.push_back(std::move(object));
    }
    return print(json::dump(list) + "\n");
  }
  std::vector<std::vector<std::string>> table;
  for (auto const& row : *rows) {
    table.push_back({safe_line(row.ref, 0), short_number(row.window), row.price ? dollars(row.price->input) + " / " + dollars(row.price->output) : "", row.key,
                     row.ref == usual ? "yes" : ""});
  }
  int code = print(format_table({"MODEL", "WINDOW", "IN / OUT", "KEY", "DEFAULT"}, table, terminal_of(STDOUT_FILENO, environment).width));
  std::string others;
  for (auto const& provider : catalogue->providers) {
    bool listed = std::any_of(catalogue->models.begin(), catalogue->models.end(), [&](auto const& model) { return model.provider == provider.id; });
    if (!listed && provider.scheme != "rehearsal") others += (others.empty() ? "" : ", ") + safe_line(provider.id, 0);
  }
  if (!others.empty()) print_note("Any other model of these works too (--model PROVIDER/MODEL), and all models of: " + others + ".");
  if (!catalogue->prices_as_of.empty()) print_note("Prices: US dollars for a million tokens on " + safe_line(catalogue->prices_as_of, 40) + ".");
  if (chosen) print_note("Without --model it is " + safe_line(usual, 0) + ", " + safe_line(chosen->why, 0) + ".");
  else print_note(chosen.error().message);
  return code;
}

}  // namespace insomnia::cli
