#pragma once

#include <cstdint>
#include <optional>

#include "llm/catalogue.hh"
#include "llm/stream_event.hh"

namespace insomnia::usage {

/// Money in billionths of a US dollar: whole numbers add up exactly.
using Nanodollars = int64_t;

/// What a call with this usage costs; nothing without a price.
std::optional<Nanodollars> cost_of(std::optional<llm::Price> const& price, llm::Usage const& usage);

/// The most that a call can cost: all of its input dear, all of the output that it may have.
std::optional<Nanodollars> most_of(std::optional<llm::Price> const& price, uint64_t input_tokens, uint64_t output_tokens);

}  // namespace insomnia::usage
