#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "manifest/manifest.hh"
#include "usage/price.hh"

namespace insomnia::registry {
class Database;
}

namespace insomnia::usage {

/// A call that is about to be made.
struct Demand {
  std::string id;  ///< never used again
  std::vector<manifest::Account> payers;  ///< the Pod and all above it, the highest first; each is charged, and its budget kept
  std::string provider;                   ///< for people
  std::string model;
  std::string gate;  ///< whose rate limit it counts against
  uint64_t input_tokens = 0;   ///< at most
  uint64_t output_tokens = 0;  ///< at most
  std::optional<Nanodollars> cost;  ///< at most; nothing: the price is not known
};

/// What came of it.
struct Settlement {
  std::string id;
  llm::Usage usage;
  std::optional<Nanodollars> cost;  ///< nothing: unknown
  bool failed = false;
};

/// What is left of the tightest budget of all payers; nothing: no limit.
struct Remaining {
  std::optional<uint64_t> tokens;
  std::optional<Nanodollars> cost;
};

struct Admission {
  int64_t due_ms = 0;  ///< wall clock: when the call may begin
};

/// What a provider's answer says of its limits.
struct GateReport {
  bool limited = false;                  ///< it refused because of its rate limit or load
  std::optional<int64_t> wait_ms;        ///< as it said itself
  friend bool operator==(GateReport const&, GateReport const&) = default;
};

/// The state of one gate, for people.
struct GateState {
  std::string gate;
  int64_t blocked_until_ms = 0;  ///< wall clock
  int64_t spacing_ms = 0;        ///< between two calls, for all Pods together
  int64_t limited_at_ms = 0;     ///< when the provider refused last; 0: never
  uint64_t refusals = 0;
};

struct UsageRow {
  std::string key;  ///< pod name, model, day
  uint64_t calls = 0, input = 0, output = 0, cache_read = 0, cache_write = 0;
  Nanodollars cost = 0;
  uint64_t unknown = 0;  ///< calls whose cost is not known
};
enum class GroupBy { Pod, Model, Day, Tree };

/// What model calls have cost and may cost, and how fast they may come, of all Pods of a user: <data_dir>/usage.db (SQLite). What a call can cost at most is
/// charged before it is made, and corrected when its end is known; so a Pod that dies in between leaves it charged. Killed at any point the file is whole; after a
/// power failure the last moments may be missing. Used by one thread at a time; several processes share the file. Blocks, for a locked file up to a limit.
class Ledger {
 public:
  static Result<std::unique_ptr<Ledger>> open(std::string const& path, bool read_only = false);
  ~Ledger();

  /// Charges the demand to all payers and gives it a slot. Errors: LimitReached (the budget of one of them is used up; the text names it; nothing is charged).
  Result<Admission> admit(Demand const& demand, int64_t now_ms, double random);
  /// A slot for a call that waited in vain: the gate was closed meanwhile.
  Result<Admission> admit_again(std::string_view gate, int64_t now_ms, double random);
  /// Until when the gate is closed; 0: it is open.
  Result<int64_t> blocked_until(std::string_view gate);
  /// Corrects what was charged. Unknown ids are no error. Gives what is left afterwards.
  Result<Remaining> settle(Settlement const& settlement, std::vector<manifest::Account> const& payers);
  Result<void> report(std::string_view gate, GateReport const& report, int64_t now_ms);

  Result<std::vector<UsageRow>> rows(GroupBy by, int64_t since_ms);
  Result<std::vector<GateState>> gates();

 private:
  explicit Ledger(std::unique_ptr<registry::Database> database);
  Result<int64_t> take_slot(std::string_view gate, int64_t now_ms, double random);
  Result<Remaining> remaining(std::vector<manifest::Account> const& payers);
  std::unique_ptr<registry::Database> database_;
};

/// How a gate reacts: pure. `spacing` doubles with each refusal (from 100 ms up to 10 s) and shrinks by a fifth with each success.
int64_t spacing_after(int64_t spacing_ms, bool limited);

}  // namespace insomnia::usage
