#pragma once

#include <string>
#include <vector>

#include "wire/item.hh"

/// Pure functions on a conversation.
namespace insomnia::agent {

/// The tool calls that have no result after them, in order. A call_id may occur again in a later turn: a result answers
/// the last call before it that is open.
std::vector<wire::ToolCall> unanswered_calls(std::vector<wire::Item> const& history);

/// Sorts each unbroken row of tool results into the order of their calls. Results are logged as they come; the model
/// sees them in this order, before and after a restart.
void order_results(std::vector<wire::Item>& history);

/// The last assistant text, or "".
std::string last_answer(std::vector<wire::Item> const& history);

/// Whether the last thing is the model's own (its words, its thinking or a call): such a history cannot be sent as it
/// is.
bool ends_with_model(std::vector<wire::Item> const& history);

}  // namespace insomnia::agent
