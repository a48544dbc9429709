#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia usage`.
struct UsageOptions {
  std::string since;       ///< "7d", "12h", a day "2026-11-01"; "": all
  std::string by = "pod";  ///< pod, model, day, tree
  bool json = false;
  friend bool operator==(UsageOptions const&, UsageOptions const&) = default;
};
/// What model calls have cost.
int show_usage(UsageOptions const& options, Environment const& environment);

/// Options of `insomnia providers`.
struct ProvidersOptions {
  bool json = false;
  friend bool operator==(ProvidersOptions const&, ProvidersOptions const&) = default;
};
/// The rate limits of providers, as all Pods of this user see them.
int show_providers(ProvidersOptions const& options, Environment const& environment);

/// The moment that `since` names, in milliseconds of Unix time: minutes, hours, days or weeks before `now_ms` ("90m", "12h", "7d", "2w"), or the beginning of a
/// day in local time. Nothing when it is none of these. Pure but for the time zone.
std::optional<int64_t> moment_of(std::string_view since, int64_t now_ms);

}  // namespace insomnia::cli
