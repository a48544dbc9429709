#include "usage/ledger.hh"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/io.hh"
#include "base/text.hh"
#include "base/unique_fd.hh"
#include "registry/database.hh"

namespace insomnia::usage {
namespace {

using registry::Query;
using registry::Transaction;

constexpr int64_t kBusyLimitMs = 10'000;
constexpr int64_t kVersion = 1;
constexpr int64_t kFirstSpacingMs = 100, kMaxSpacingMs = 10'000;
constexpr int64_t kMaxBlockMs = 3'600'000;
/// A gate whose clock is further ahead than this belongs to a clock that was set back.
constexpr int64_t kMaxAheadMs = 2 * kMaxBlockMs;

constexpr char const* kSchema[] = {
    "create table calls (id text primary key, at integer not null, pod_id text not null, pod_name text not null, root_name text not null, provider text not null, model text not null,"
    " payers text not null, charged_tokens integer not null, charged_cost integer not null, open integer not null, failed integer not null, input integer not null, output integer not null,"
    " cache_read integer not null, cache_write integer not null, cost integer not null, cost_known integer not null) without rowid",
    "create index calls_at on calls (at)",
    "create table spent (pod_id text primary key, tokens integer not null, cost integer not null) without rowid",
    "create table gates (gate text primary key, next_at integer not null, blocked_until integer not null, spacing integer not null, limited_at integer not null, refusals integer not null) "
    "without rowid",
};

std::string dollars(Nanodollars cost) {
  // Four places are enough for people; the rest is kept.
  int64_t ten_thousandths = (cost + 50'000) / 100'000;
  std::string fraction = std::to_string(ten_thousandths % 10'000);
  return "$" + std::to_string(ten_thousandths / 10'000) + "." + std::string(4 - fraction.size(), '0') + fraction;
}

Nanodollars limit_of(double dollars) { return static_cast<Nanodollars>(std::min(dollars, 1e9) * 1e9); }

struct Spent {
  int64_t tokens = 0;
  Nanodollars cost = 0;
};

Result<Spent> spent_by(registry::Database& database, std::string const& pod_id) {
  Query query(database, "select tokens, cost from spent where pod_id = ?");
  query.bind(pod_id);
  if (!TRY(query.next())) return Spent{};
  return Spent{query.integer(0), query.integer(1)};
}

Result<void> charge(registry::Database& database, std::string_view pod_id, int64_t tokens, Nanodollars cost) {
  Query query(database, "insert into spent (pod_id, tokens, cost) values (?, ?, ?) on conflict (pod_id) do update set tokens = tokens + excluded.tokens, cost = cost + excluded.cost");
  return query.bind(pod_id).bind(tokens).bind(cost).run();
}

Result<void> check_budget(manifest::Account const& payer, Spent const& spent, Demand const& demand, int64_t now_ms) {
  auto const& budget = payer.budget;
  std::string whose = "the budget of Pod `" + payer.pod_name + "` ";
  if (budget.max_wall_secs) {
    int64_t end = static_cast<int64_t>(payer.started_ms) + static_cast<int64_t>(std::min<uint64_t>(*budget.max_wall_secs, 1'000'000'000)) * 1000;
    if (now_ms >= end) return fail(Code::LimitReached, whose + "is used up: its " + std::to_string(*budget.max_wall_secs) + " s are over");
  }
  int64_t tokens = static_cast<int64_t>(demand.input_tokens + demand.output_tokens);
  if (budget.max_tokens && spent.tokens + tokens > static_cast<int64_t>(std::min<uint64_t>(*budget.max_tokens, INT64_MAX / 2))) {
    return fail(Code::LimitReached, whose + (spent.tokens >= static_cast<int64_t>(*budget.max_tokens) ? "is used up: " : "has no room for another call: ") + std::to_string(spent.tokens) + " of " +
                                        std::to_string(*budget.max_tokens) + " tokens are spent or promised to calls under way, and this call could take " + std::to_string(tokens));
  }
  if (!budget.max_cost) return {};
  if (!demand.cost) {
    return fail(Code::LimitReached, whose + "is in money, and the price of " + demand.provider + "/" + demand.model +
                                        " is not known; give its price in models.toml, or limit max_tokens instead of max_cost");
  }
  if (spent.cost + *demand.cost > limit_of(*budget.max_cost)) {
    return fail(Code::LimitReached, whose + (spent.cost >= limit_of(*budget.max_cost) ? "is used up: " : "has no room for another call: ") + dollars(spent.cost) + " of " +
                                        dollars(limit_of(*budget.max_cost)) + " are spent or promised to calls under way, and this call could cost " + dollars(*demand.cost));
  }
  return {};
}

}  // namespace

int64_t spacing_after(int64_t spacing_ms, bool limited) {
  if (limited) return std::clamp(spacing_ms * 2, kFirstSpacingMs, kMaxSpacingMs);
  int64_t less = spacing_ms - spacing_ms / 5 - 1;
  return less < 20 ? 0 : less;
}

Ledger::Ledger(std::unique_ptr<registry::Database> database) : database_(std::move(database)) {}
Ledger::~Ledger() = default;

Result<std::unique_ptr<Ledger>> Ledger::open(std::string const& path, bool read_only) {
  if (read_only && !io::exists(path)) return fail(Code::NotFound, "nothing was recorded yet");
  if (!read_only) {
    TRY(io::make_directories(io::parent_path(path)));
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("open " + path, errno);
  }
  auto database = TRY(registry::Database::open(path, read_only));
  database->start_waiting(kBusyLimitMs);
  if (!read_only) {
    Query mode(*database, "pragma journal_mode = wal");
    if (!TRY(mode.next()) || mode.text(0) != "wal") return fail(Code::Unsupported, "the file system of " + path + " can't hold it (no shared memory)");
  }
  if (!read_only) TRY(database->execute("pragma synchronous = normal"));
  int64_t version = 0;
  {
    Query query(*database, "pragma user_version");
    if (TRY(query.next())) version = query.integer(0);
  }
  if (version == 0 && !read_only) {
    // Of several that make it at once the first one does.
    Transaction transaction(*database);
    TRY(transaction.begin(Transaction::Kind::Write));
    {
      Query query(*database, "pragma user_version");
      if (TRY(query.next())) version = query.integer(0);
    }
    if (version == 0) {
      for (auto const* statement : kSchema) TRY(database->execute(statement));
      TRY(database->execute("pragma user_version = 1"));
      version = kVersion;
    }
    TRY(transaction.commit());
  }
  if (version == 0) return fail(Code::NotFound, "nothing was recorded yet");
  if (version != kVersion) return fail(Code::Unsupported, path + " has version " + std::to_string(version) + ", this insomnia knows version " + std::to_string(kVersion));
  return std::unique_ptr<Ledger>(new Ledger(std::move(database)));
}

Result<int64_t> Ledger::take_slot(std::string_view gate, int64_t now_ms, double random) {
  int64_t next_at = 0, blocked_until = 0, spacing = 0;
  {
    Query query(*database_, "select next_at, blocked_until, spacing from gates where gate = ?");
    query.bind(gate);
    if (!TRY(query.next())) return now_ms;  // it was never closed
    next_at = query.integer(0);
    blocked_until = query.integer(1);
    spacing = query.integer(2);
  }
  if (next_at > now_ms + kMaxAheadMs) next_at = 0;
  if (blocked_until > now_ms + kMaxAheadMs) blocked_until = 0;
  int64_t due = std::max({now_ms, next_at, blocked_until});
  if (spacing == 0 && due == now_ms) return now_ms;
  // Whoever asked first goes first; a little jitter keeps machines apart that share an account.
  Query query(*database_, "update gates set next_at = ? where gate = ?");
  TRY(query.bind(due + spacing).bind(gate).run());
  return due + static_cast<int64_t>(random * static_cast<double>(spacing) / 2);
}

Result<Admission> Ledger::admit(Demand const& demand, int64_t now_ms, double random) {
  database_->start_waiting(kBusyLimitMs);
  Transaction transaction(*database_);
  TRY(transaction.begin(Transaction::Kind::Write));
  for (auto const& payer : demand.payers) {
    if (payer.budget == manifest::Budget{}) continue;
    TRY(check_budget(payer, TRY(spent_by(*database_, payer.pod_id)), demand, now_ms));
  }
  std::string payers;
  int64_t tokens = static_cast<int64_t>(demand.input_tokens + demand.output_tokens);
  for (auto const& payer : demand.payers) {
    payers += (payers.empty() ? "" : " ") + payer.pod_id;
    TRY(charge(*database_, payer.pod_id, tokens, demand.cost.value_or(0)));
  }
  manifest::Account const none;
  auto const& self = demand.payers.empty() ? none : demand.payers.back();
  auto const& root = demand.payers.empty() ? none : demand.payers.front();
  {
    Query query(*database_,
                "insert into calls (id, at, pod_id, pod_name, root_name, provider, model, payers, charged_tokens, charged_cost, open, failed, input, output, cache_read, cache_write, cost, cost_known)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, 0, 0, 0, 0, 0)");
    query.bind(demand.id).bind(now_ms).bind(self.pod_id).bind(self.pod_name).bind(root.pod_name).bind(demand.provider).bind(demand.model);
    TRY(query.bind(payers).bind(tokens).bind(demand.cost.value_or(0)).run());
  }
  Admission admission{TRY(take_slot(demand.gate, now_ms, random))};
  TRY(transaction.commit());
  return admission;
}

Result<Admission> Ledger::admit_again(std::string_view gate, int64_t now_ms, double random) {
  database_->start_waiting(kBusyLimitMs);
  Transaction transaction(*database_);
  TRY(transaction.begin(Transaction::Kind::Write));
  Admission admission{TRY(take_slot(gate, now_ms, random))};
  TRY(transaction.commit());
  return admission;
}

Result<int64_t> Ledger::blocked_until(std::string_view gate) {
  database_->start_waiting(kBusyLimitMs);
  Query query(*database_, "select blocked_until from gates where gate = ?");
  query.bind(gate);
  return TRY(query.next()) ? query.integer(0) : 0;
}

Result<Remaining> Ledger::remaining(std::vector<manifest::Account> const& payers) {
  Remaining left;
  for (auto const& payer : payers) {
    if (!payer.budget.max_tokens && !payer.budget.max_cost) continue;
    Spent spent = TRY(spent_by(*database_, payer.pod_id));
    if (payer.budget.max_tokens) {
      auto limit = static_cast<int64_t>(std::min<uint64_t>(*payer.budget.max_tokens, INT64_MAX / 2));
      auto tokens = static_cast<uint64_t>(std::max<int64_t>(limit - spent.tokens, 0));
      left.tokens = std::min(left.tokens.value_or(tokens), tokens);
    }
    if (payer.budget.max_cost) {
      Nanodollars cost = std::max<Nanodollars>(limit_of(*payer.budget.max_cost) - spent.cost, 0);
      left.cost = std::min(left.cost.value_or(cost), cost);
    }
  }
  return left;
}

Result<Remaining> Ledger::settle(Settlement const& settlement, std::vector<manifest::Account> const& payers) {
  database_->start_waiting(kBusyLimitMs);
  Transaction transaction(*database_);
  TRY(transaction.begin(Transaction::Kind::Write));
  std::string paying;
  int64_t charged_tokens = 0;
  Nanodollars charged_cost = 0;
  bool open = false;
  {
    Query query(*database_, "select payers, charged_tokens, charged_cost, open from calls where id = ?");
    query.bind(settlement.id);
    if (TRY(query.next())) {
      paying = query.text(0);
      charged_tokens = query.integer(1);
      charged_cost = query.integer(2);
      open = query.integer(3) == 1;
    }
  }
  if (open) {
    auto number = [](std::optional<uint64_t> value) { return static_cast<int64_t>(value.value_or(0)); };
    auto const& usage = settlement.usage;
    int64_t tokens = number(usage.input_tokens) + number(usage.output_tokens);
    Nanodollars cost = settlement.cost.value_or(0);
    for (auto payer : text::split(paying, ' ')) {
      if (!payer.empty()) TRY(charge(*database_, payer, tokens - charged_tokens, cost - charged_cost));
    }
    Query query(*database_,
                "update calls set open = 0, failed = ?, charged_tokens = ?, charged_cost = ?, input = ?, output = ?, cache_read = ?, cache_write = ?, cost = ?, cost_known = ? where id = ?");
    query.bind(settlement.failed ? 1 : 0).bind(tokens).bind(cost).bind(number(usage.input_tokens)).bind(number(usage.output_tokens)).bind(number(usage.cache_read_input_tokens));
    query.bind(number(usage.cache_creation_input_tokens)).bind(cost).bind(settlement.cost ? 1 : 0).bind(settlement.id);
    TRY(query.run());
  }
  Remaining left = TRY(remaining(payers));
  TRY(transaction.commit());
  return left;
}

Result<void> Ledger::report(std::string_view gate, GateReport const& report, int64_t now_ms) {
  database_->start_waiting(kBusyLimitMs);
  int64_t next_at = 0, blocked_until = 0, spacing = 0, limited_at = 0, refusals = 0;
  Transaction transaction(*database_);
  TRY(transaction.begin(Transaction::Kind::Write));
  {
    Query query(*database_, "select next_at, blocked_until, spacing, limited_at, refusals from gates where gate = ?");
    query.bind(gate);
    bool known = TRY(query.next());
    if (!known && !report.limited && !report.wait_ms) return {};
    if (known) {
      next_at = query.integer(0);
      blocked_until = query.integer(1);
      spacing = query.integer(2);
      limited_at = query.integer(3);
      refusals = query.integer(4);
    }
  }
  if (!report.limited && !report.wait_ms && spacing == 0) return {};
  if (report.limited) {
    // Refusals of calls that were under way when it was closed say nothing new.
    bool news = limited_at < now_ms - spacing || blocked_until <= now_ms;
    if (news) spacing = spacing_after(spacing, true);
    limited_at = now_ms;
    ++refusals;
  } else if (!report.wait_ms) {
    spacing = spacing_after(spacing, false);
  }
  int64_t wait = std::clamp<int64_t>(report.wait_ms.value_or(report.limited ? spacing : 0), 0, kMaxBlockMs);
  if (blocked_until > now_ms + kMaxAheadMs) blocked_until = 0;
  blocked_until = std::max(blocked_until, now_ms + wait);
  if (next_at < blocked_until) next_at = blocked_until;
  Query query(*database_,
              "insert into gates (gate, next_at, blocked_until, spacing, limited_at, refusals) values (?, ?, ?, ?, ?, ?) on conflict (gate) do update set next_at = excluded.next_at, "
              "blocked_until = excluded.blocked_until, spacing = excluded.spacing, limited_at = excluded.limited_at, refusals = excluded.refusals");
  TRY(query.bind(gate).bind(next_at).bind(blocked_until).bind(spacing).bind(limited_at).bind(refusals).run());
  return transaction.commit();
}

Result<std::vector<UsageRow>> Ledger::rows(GroupBy by, int64_t since_ms) {
  database_->start_waiting(kBusyLimitMs);
  // A call whose end is not known counts with what was charged for it, as far as that is known: with its tokens as input.
  static constexpr char kSums[] =
      "count(*), sum(case open when 1 then charged_tokens else input end), sum(output), sum(cache_read), sum(cache_write), sum(case open when 1 then charged_cost else cost end), "
      "sum(case when open = 1 or cost_known = 0 then 1 else 0 end) from calls where at >= ? group by 1 order by ";
  static std::string const kByPod = std::string("select pod_name, ") + kSums + "7 desc, 3 desc, 1";
  static std::string const kByModel = std::string("select provider || '/' || model, ") + kSums + "7 desc, 3 desc, 1";
  static std::string const kByDay = std::string("select strftime('%Y-%m-%d', at / 1000, 'unixepoch', 'localtime'), ") + kSums + "1";
  static std::string const kByTree = std::string("select root_name, ") + kSums + "7 desc, 3 desc, 1";
  std::string const& sql = by == GroupBy::Pod ? kByPod : by == GroupBy::Model ? kByModel : by == GroupBy::Day ? kByDay : kByTree;
  Query query(*database_, sql.c_str());
  query.bind(since_ms);
  std::vector<UsageRow> result;
  while (TRY(query.next())) {
    auto number = [&](int column) { return static_cast<uint64_t>(query.integer(column)); };
    result.push_back({query.text(0), number(1), number(2), number(3), number(4), number(5), query.integer(6), number(7)});
  }
  return result;
}

Result<std::vector<GateState>> Ledger::gates() {
  database_->start_waiting(kBusyLimitMs);
  Query query(*database_, "select gate, blocked_until, spacing, limited_at, refusals from gates order by gate");
  std::vector<GateState> result;
  while (TRY(query.next())) result.push_back({query.text(0), query.integer(1), query.integer(2), query.integer(3), static_cast<uint64_t>(query.integer(4))});
  return result;
}

}  // namespace insomnia::usage
