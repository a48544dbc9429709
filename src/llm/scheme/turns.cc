#include "llm/scheme/turns.hh"

#include "base/text.hh"

namespace insomnia::llm {
namespace {

class Grouping {
 public:
  explicit Grouping(ModelConfig const& model) : model_(model) {}

  void add(wire::Item const& item) {
    if (auto const* message = std::get_if<wire::Message>(&item)) return add_message(item, *message);
    if (auto const* result = std::get_if<wire::ToolResult>(&item)) return turn(false).results.push_back(result);
    auto const* reasoning = std::get_if<wire::Reasoning>(&item);
    if (reasoning == nullptr || understands(model_, *reasoning)) turn(true).parts.push_back(&item);
  }
  std::vector<Turn> take() { return std::move(turns_); }

 private:
  void add_message(wire::Item const& item, wire::Message const& message) {
    std::string text = wire::message_text(message);
    if (text::trim(text).empty()) return;  // vendors refuse blank text
    if (message.role == wire::Role::Assistant) turn(true).parts.push_back(&item);
    else turn(false).texts.push_back(message.role == wire::Role::System ? system_notice(text) : std::move(text));
  }
  Turn& turn(bool assistant) {
    if (turns_.empty() || turns_.back().assistant != assistant) turns_.emplace_back().assistant = assistant;
    return turns_.back();
  }

  ModelConfig const& model_;
  std::vector<Turn> turns_;
};

}  // namespace

std::vector<Turn> turns_of(std::span<wire::Item const> items, ModelConfig const& model) {
  Grouping grouping(model);
  for (auto const& item : items) grouping.add(item);
  return grouping.take();
}

}  // namespace insomnia::llm
