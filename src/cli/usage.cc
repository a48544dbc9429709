#include "cli/usage.hh"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <charconv>
#include <ctime>

#include "base/clock.hh"
#include "base/json.hh"
#include "base/paths.hh"
#include "base/text.hh"
#include "cli/exit_code.hh"
#include "cli/output.hh"
#include "cli/table.hh"
#include "usage/ledger.hh"

namespace insomnia::cli {
namespace bj = boost::json;

namespace {

std::string money(usage::Nanodollars cost, uint64_t calls, uint64_t unknown) {
  if (unknown > 0 && unknown == calls && cost == 0) return "unknown";
  std::string text = fmt::format("${:.4f}", static_cast<double>(cost) / 1e9);
  return unknown > 0 ? text + " + " + std::to_string(unknown) + " unknown" : text;
}

/// Nothing recorded is an empty list.
Result<std::unique_ptr<usage::Ledger>> open_ledger(Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  TRY(paths.require_data_dir());
  auto ledger = usage::Ledger::open(paths.usage_db(), true);
  if (!ledger && ledger.error().code == Code::NotFound) return std::unique_ptr<usage::Ledger>();
  return ledger;
}

Result<int> usage_of(UsageOptions const& options, Environment const& environment) {
  int64_t since = 0;
  if (!options.since.empty()) {
    auto moment = moment_of(options.since, SystemClock().wall_ms());
    if (!moment) return fail(Code::InvalidArgument, "--since " + options.since + ": give a time like 12h, 7d or 2w, or a day like 2026-11-01");
    since = *moment;
  }
  auto by = options.by == "model" ? usage::GroupBy::Model : options.by == "day" ? usage::GroupBy::Day : options.by == "tree" ? usage::GroupBy::Tree : usage::GroupBy::Pod;
  auto ledger = TRY(open_ledger(environment));
  auto rows = ledger ? TRY(ledger->rows(by, since)) : std::vector<usage::UsageRow>{};
  if (options.json) {
    bj::array list;
    for (auto const& row : rows) {
      list.push_back(bj::object{{options.by, text::to_utf8(row.key)}, {"calls", row.calls}, {"input_tokens", row.input}, {"output_tokens", row.output}, {"cache_read_tokens", row.cache_read},
                                {"cache_write_tokens", row.cache_write}, {"cost", static_cast<double>(row.cost) / 1e9}, {"calls_of_unknown_cost", row.unknown}});
    }
    return print(json::dump(list) + "\n");
  }
  if (rows.empty()) {
    print_note("no model calls are recorded");
    return kFinished;
  }
  std::vector<std::vector<std::string>> table;
  usage::UsageRow total;
  auto line = [&](std::string const& key, usage::UsageRow const& row) {
    table.push_back({key, std::to_string(row.calls), short_number(row.input), short_number(row.cache_read), short_number(row.output), money(row.cost, row.calls, row.unknown)});
  };
  for (auto const& row : rows) {
    line(safe_line(row.key, 0), row);
    total.calls += row.calls;
    total.input += row.input;
    total.output += row.output;
    total.cache_read += row.cache_read;
    total.cost += row.cost;
    total.unknown += row.unknown;
  }
  if (rows.size() > 1) line("total", total);
  std::string head = options.by;
  for (char& c : head) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  int code = print(format_table({head, "CALLS", "IN", "CACHED", "OUT", "COST"}, table, terminal_of(STDOUT_FILENO, environment).width));
  if (total.unknown > 0) print_note("Unknown: the model has no price in the catalogue, or the call has not ended (it counts with the most that it could cost).");
  return code;
}

Result<int> providers_of(ProvidersOptions const& options, Environment const& environment) {
  int64_t now = SystemClock().wall_ms();
  auto ledger = TRY(open_ledger(environment));
  auto gates = ledger ? TRY(ledger->gates()) : std::vector<usage::GateState>{};
  if (options.json) {
    bj::array list;
    for (auto const& gate : gates) {
      list.push_back(bj::object{{"provider", text::to_utf8(gate.gate)}, {"closed_for_ms", std::max<int64_t>(gate.blocked_until_ms - now, 0)}, {"spacing_ms", gate.spacing_ms},
                                {"refusals", gate.refusals}, {"last_refusal_ms", gate.limited_at_ms}});
    }
    return print(json::dump(list) + "\n");
  }
  if (gates.empty()) {
    print_note("no provider has refused a call because of its rate limit");
    return kFinished;
  }
  std::vector<std::vector<std::string>> table;
  for (auto const& gate : gates) {
    int64_t closed = gate.blocked_until_ms - now;
    table.push_back({safe_line(gate.gate, 0), closed > 0 ? "closed for " + short_duration(closed) : "open", gate.spacing_ms == 0 ? "none" : short_duration(gate.spacing_ms), std::to_string(gate.refusals),
                     gate.limited_at_ms == 0 ? "never" : short_duration(std::max<int64_t>(now - gate.limited_at_ms, 0)) + " ago"});
  }
  return print(format_table({"PROVIDER", "GATE", "SPACING", "REFUSALS", "LAST"}, table, terminal_of(STDOUT_FILENO, environment).width));
}

}  // namespace

std::optional<int64_t> moment_of(std::string_view since, int64_t now_ms) {
  std::tm day{};
  std::string const text(since);
  char const* end = ::strptime(text.c_str(), "%Y-%m-%d", &day);
  if (end != nullptr && since.size() == 10 && *end == '\0') {
    day.tm_isdst = -1;
    std::time_t begin = ::mktime(&day);
    return begin == -1 ? std::nullopt : std::optional(static_cast<int64_t>(begin) * 1000);
  }
  int64_t number = 0;
  auto [rest, error] = std::from_chars(since.data(), since.data() + since.size(), number);
  if (error != std::errc() || number < 0 || number > 100'000 || rest + 1 != since.data() + since.size()) return std::nullopt;
  int64_t unit = *rest == 'm' ? 60 : *rest == 'h' ? 3'600 : *rest == 'd' ? 86'400 : *rest == 'w' ? 604'800 : 0;
  if (unit == 0) return std::nullopt;
  return now_ms - number * unit * 1000;
}

int show_usage(UsageOptions const& options, Environment const& environment) {
  auto done = usage_of(options, environment);
  return done ? *done : fail_with(done.error());
}

int show_providers(ProvidersOptions const& options, Environment const& environment) {
  auto done = providers_of(options, environment);
  return done ? *done : fail_with(done.error());
}

}  // namespace insomnia::cli
