#pragma once

#include <span>
#include <string>
#include <vector>

#include "llm/scheme/scheme.hh"
#include "wire/item.hh"

namespace insomnia::llm {

/// What one side says in a row. Points into the items.
struct Turn {
  bool assistant = false;
  // Of the model, in their order:
  std::vector<wire::Item const*> parts;  ///< messages, reasoning that this model understands, tool calls
  // Of the user's side:
  std::vector<wire::ToolResult const*> results;  ///< they answer the calls right before, so they come first
  std::vector<std::string> texts;                ///< of the user, and notices (system_notice) between them; none is blank
};

/// The conversation as turns that alternate. Reasoning of other vendors is left out. `items` must outlive the turns.
std::vector<Turn> turns_of(std::span<wire::Item const> items, ModelConfig const& model);

}  // namespace insomnia::llm
