#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/json.hh"
#include "base/paths.hh"
#include "base/text.hh"
#include "cli/exit_code.hh"
#include "cli/models.hh"
#include "cli/output.hh"
#include "cli/table.hh"
#include "http/client.hh"
#include "llm/catalogue.hh"
#include "usage/metered_gate.hh"

namespace insomnia::cli {
namespace bj = boost::json;

namespace {

constexpr int64_t kLimitMs = 120'000;
constexpr uint32_t kMaxTokens = 1'024;

/// What one call shows of a model.
class Check final : public llm::CallHandler {
 public:
  explicit Check(loop::EventLoop& loop) : loop_(loop), started_ms_(loop.clock().steady_ms()) {}

  void on_event(llm::StreamEvent const& event) override {
    if (first_event_ms < 0) first_event_ms = loop_.clock().steady_ms() - started_ms_;
    ++events;
    if (auto const* start = std::get_if<llm::BlockStart>(&event)) {
      called = called || (start->type == llm::BlockType::ToolUse && start->name == "report");
      thought = thought || start->type == llm::BlockType::Thinking;
    } else if (auto const* delta = std::get_if<llm::BlockDelta>(&event)) {
      said += delta->text;
    } else if (std::holds_alternative<llm::ReasoningDone>(event)) {
      thought = true;
    } else if (auto const* counted = std::get_if<llm::Usage>(&event)) {
      auto keep = [](auto& kept, auto const& newer) {
        if (newer) kept = newer;
      };
      keep(usage.input_tokens, counted->input_tokens);
      keep(usage.output_tokens, counted->output_tokens);
      keep(usage.cache_read_input_tokens, counted->cache_read_input_tokens);
      keep(usage.cache_creation_input_tokens, counted->cache_creation_input_tokens);
    } else if (std::holds_alternative<llm::Completed>(event)) {
      completed = true;
    }
  }
  void on_end(std::optional<llm::CallFailure> result) override {
    ended = true;
    failure = std::move(result);
    loop_.stop();
  }

  bool completed = false, called = false, thought = false, ended = false;
  size_t events = 0;
  int64_t first_event_ms = -1;
  std::string said;  ///< text and arguments
  llm::Usage usage;
  std::optional<llm::CallFailure> failure;

 private:
  loop::EventLoop& loop_;
  int64_t started_ms_;
};

Result<int> run(ModelsOptions const& options, Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  TRY(paths.require_data_dir());
  auto catalogue = TRY(llm::Catalogue::load(paths.config_dir));
  auto model = TRY(catalogue.resolve({.ref = options.check}));
  std::optional<llm::Price> price;
  for (auto const& entry : catalogue.models) {
    if (entry.provider == model.provider_id && entry.id == model.model_id) price = entry.price;
  }
  bool free = !price && model.auth.kind == manifest::Auth::Kind::None;
  SystemClock clock;
  loop::EventLoop loop(clock);
  http::Client http(loop, environment);
  loop::Worker worker(loop, "usage");
  usage::MeteredGate gate(loop, worker,
                          {.path = paths.usage_db(), .payers = {{"", "models --check", 0, {}}}, .provider = model.provider_id, .model = model.model_id, .gate = model.provider_id, .price = price, .costs_nothing = free},
                          [](std::string text) { print_note(text); });
  auto provider = TRY(llm::make_provider(model, {.loop = loop, .http = http, .environment = environment, .self_program = "", .config_dir = paths.config_dir, .limits = {}, .gate = &gate}));
  Check check(loop);
  std::vector<wire::Item> items{wire::user_message("Call the tool `report` with the word `ready`. Say nothing else.")};
  llm::ToolDefinition report{"report", "Report a word.", R"({"type":"object","properties":{"word":{"type":"string"}},"required":["word"]})"};
  wire::RequestConfig config;
  config.max_tokens = kMaxTokens;
  auto call = provider->call({.system_prompt = "You are being tested.", .items = items, .tools = std::span(&report, 1), .config = config, .cache_anchor = {}, .cache_key = ""}, check);
  loop::Timer deadline(loop, [&] { loop.stop(); });
  deadline.start(kLimitMs);
  loop.run();
  call.reset();
  if (!check.ended) return fail(Code::Timeout, options.check + " has not answered within " + std::to_string(kLimitMs / 1000) + " s");

  auto status = check.failure ? check.failure->status : std::nullopt;
  bool refused = status == 401 || status == 403;
  bool good = check.completed && check.called;
  auto cost = free ? std::optional<usage::Nanodollars>(0) : usage::cost_of(price, check.usage);
  if (options.json) {
    bj::object object{{"ref", options.check}, {"usable", good}, {"auth", !refused && check.events > 0}, {"streaming", check.completed}, {"tools", check.called}, {"reasoning", check.thought},
                      {"first_event_ms", check.first_event_ms}, {"input_tokens", check.usage.input_tokens.value_or(0)}, {"output_tokens", check.usage.output_tokens.value_or(0)}};
    object["cost"] = cost ? bj::value(static_cast<double>(*cost) / 1e9) : bj::value(nullptr);
    object["error"] = check.failure ? bj::value(text::to_utf8(check.failure->error.message)) : bj::value(nullptr);
    print(json::dump(object) + "\n");
    return good ? kFinished : kFailed;
  }
  auto line = [](std::string_view what, std::string const& how) { print(fmt::format("{:<10} {}\n", what, how)); };
  line("auth", refused ? "refused" : check.events > 0 ? "works" : "not known");
  line("streaming", check.completed ? "works (first event after " + short_duration(check.first_event_ms) + ")" : check.events > 0 ? "broke off" : "no");
  line("tools", check.called ? "works" : check.completed ? "the model was asked to call one and did not" : "not known");
  line("reasoning", check.thought ? "shown" : "not shown");
  line("cost", short_number(check.usage.input_tokens.value_or(0)) + " tokens in, " + short_number(check.usage.output_tokens.value_or(0)) + " out, " +
                   (cost ? fmt::format("${:.4f}", static_cast<double>(*cost) / 1e9) : "at an unknown price"));
  if (check.failure) print_error(check.failure->error.message);
  return good ? kFinished : kFailed;
}

}  // namespace

int check_model(ModelsOptions const& options, Environment const& environment) {
  auto done = run(options, environment);
  return done ? *done : fail_with(done.error());
}

}  // namespace insomnia::cli
