#pragma once

#include <string>

#include "base/environment.hh"

namespace insomnia::cli {

/// Options of `insomnia prompt show`.
struct PromptOptions {
  std::string manifest, profile;  ///< as for `run`
  bool tools = false;             ///< also the tools, as the model gets them
  friend bool operator==(PromptOptions const&, PromptOptions const&) = default;
};

/// Prints the system prompt that a Pod which is started here would have, and says how large it is.
int show_prompt(PromptOptions const& options, Environment const& environment);

}  // namespace insomnia::cli
