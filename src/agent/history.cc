#include "agent/history.hh"

#include <algorithm>
#include <map>

namespace insomnia::agent {

std::vector<wire::ToolCall> unanswered_calls(std::vector<wire::Item> const& history) {
  std::vector<wire::ToolCall> open;
  for (auto const& item : history) {
    if (auto const* call = std::get_if<wire::ToolCall>(&item)) open.push_back(*call);
    auto const* result = std::get_if<wire::ToolResult>(&item);
    if (result == nullptr) continue;
    auto answered =
        std::find_if(open.rbegin(), open.rend(), [&](auto const& call) { return call.call_id == result->call_id; });
    if (answered != open.rend()) open.erase(std::next(answered).base());
  }
  return open;
}

void order_results(std::vector<wire::Item>& history) {
  std::map<std::string, size_t> position;  // of the calls so far
  auto order_of = [&](wire::Item const& item) {
    auto it = position.find(std::get<wire::ToolResult>(item).call_id);
    return it == position.end() ? history.size() : it->second;
  };
  auto is_result = [](wire::Item const& item) { return std::holds_alternative<wire::ToolResult>(item); };
  for (size_t i = 0; i < history.size(); ++i) {
    if (auto const* call = std::get_if<wire::ToolCall>(&history[i])) position[call->call_id] = i;
    if (!is_result(history[i])) continue;
    auto first = history.begin() + static_cast<std::ptrdiff_t>(i);
    auto last = std::find_if_not(first, history.end(), is_result);
    std::stable_sort(first, last, [&](auto const& a, auto const& b) { return order_of(a) < order_of(b); });
    i += static_cast<size_t>(last - first) - 1;
  }
}

std::string last_answer(std::vector<wire::Item> const& history) {
  for (auto it = history.rbegin(); it != history.rend(); ++it) {
    auto const* message = std::get_if<wire::Message>(&*it);
    if (message != nullptr && message->role == wire::Role::Assistant) return wire::message_text(*message);
  }
  return "";
}

bool ends_with_model(std::vector<wire::Item> const& history) {
  if (history.empty() || std::holds_alternative<wire::ToolResult>(history.back())) return false;
  auto const* message = std::get_if<wire::Message>(&history.back());
  return message == nullptr || message->role == wire::Role::Assistant;
}

}  // namespace insomnia::agent
