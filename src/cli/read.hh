#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia read`.
struct ReadOptions {
  std::string name;
  size_t last = 1;
  bool json = false;
  friend bool operator==(ReadOptions const&, ReadOptions const&) = default;
};

/// Prints the last texts of a Pod's model, of a live Pod or of a stored session.
int read_answer(ReadOptions const& options, Environment const& environment);

/// The texts that the model said, oldest first, from log entries as JSON text; histories inside a segment's
/// start count too. Pure.
std::vector<std::string> assistant_texts(std::vector<std::string> const& entries);

}  // namespace insomnia::cli
