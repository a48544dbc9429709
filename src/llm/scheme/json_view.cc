#include "llm/scheme/json_view.hh"

#include <boost/json.hpp>

#include "base/json.hh"

namespace insomnia::llm {

boost::json::value const* JsonView::find(std::string_view key) const {
  auto const* value = object_ == nullptr ? nullptr : object_->if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool JsonView::has(std::string_view key) const { return find(key) != nullptr; }

bool JsonView::is_empty() const { return object_ == nullptr || object_->empty(); }

JsonView JsonView::child(std::string_view key) const {
  auto const* value = find(key);
  return JsonView(value == nullptr ? nullptr : value->if_object());
}

std::vector<JsonView> JsonView::children(std::string_view key) const {
  std::vector<JsonView> result;
  auto const* value = find(key);
  auto const* list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr) return result;
  for (auto const& member : *list) {
    if (auto const* object = member.if_object()) result.emplace_back(object);
  }
  return result;
}

std::string_view JsonView::text(std::string_view key) const {
  auto const* value = find(key);
  auto const* string = value == nullptr ? nullptr : value->if_string();
  return string == nullptr ? std::string_view() : std::string_view(*string);
}

std::optional<uint64_t> JsonView::number(std::string_view key) const {
  auto const* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_uint64()) return value->get_uint64();
  if (value->is_int64() && value->get_int64() >= 0) return static_cast<uint64_t>(value->get_int64());
  if (value->is_double() && value->get_double() >= 0 && value->get_double() < 1e15) return static_cast<uint64_t>(value->get_double());
  return std::nullopt;
}

std::optional<double> JsonView::decimal(std::string_view key) const {
  auto const* value = find(key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

bool JsonView::flag(std::string_view key) const {
  auto const* value = find(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::string JsonView::json(std::string_view key) const {
  auto const* value = find(key);
  return value == nullptr ? "" : json::dump(*value);
}

}  // namespace insomnia::llm
