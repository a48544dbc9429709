#include "usage/price.hh"

#include <algorithm>
#include <cmath>

namespace insomnia::usage {
namespace {

/// Dollars for a million tokens are thousands of nanodollars for one.
Nanodollars times(uint64_t tokens, double dollars_per_million) { return static_cast<Nanodollars>(std::llround(static_cast<double>(tokens) * dollars_per_million * 1000)); }

}  // namespace

std::optional<Nanodollars> cost_of(std::optional<llm::Price> const& price, llm::Usage const& usage) {
  if (!price) return std::nullopt;
  uint64_t input = usage.input_tokens.value_or(0), output = usage.output_tokens.value_or(0);
  uint64_t read = std::min(usage.cache_read_input_tokens.value_or(0), input);
  uint64_t written = std::min(usage.cache_creation_input_tokens.value_or(0), input - read);
  bool is_long = price->long_above > 0 && input > price->long_above;
  return times(input - read - written, is_long ? price->long_input : price->input) + times(read, is_long ? price->long_cache_read : price->cache_read) +
         times(written, is_long ? price->long_cache_write : price->cache_write) + times(output, is_long ? price->long_output : price->output);
}

std::optional<Nanodollars> most_of(std::optional<llm::Price> const& price, uint64_t input_tokens, uint64_t output_tokens) {
  if (!price) return std::nullopt;
  bool is_long = price->long_above > 0 && input_tokens > price->long_above;
  double dearest = is_long ? std::max(price->long_input, price->long_cache_write) : std::max(price->input, price->cache_write);
  return times(input_tokens, dearest) + times(output_tokens, is_long ? price->long_output : price->output);
}

}  // namespace insomnia::usage
