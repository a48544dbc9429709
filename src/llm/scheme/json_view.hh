#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace insomnia::llm {

/// A look into a JSON object that forgives: what is missing, null or of another type counts as absent. Many servers speak each format, not all exactly.
/// Valid as long as the object.
class JsonView {
 public:
  JsonView() = default;
  explicit JsonView(boost::json::object const* object) : object_(object) {}
  /// Whether there is an object.
  explicit operator bool() const { return object_ != nullptr; }

  bool has(std::string_view key) const;
  bool is_empty() const;
  JsonView child(std::string_view key) const;
  /// The objects of a list.
  std::vector<JsonView> children(std::string_view key) const;
  std::string_view text(std::string_view key) const;
  std::string string(std::string_view key) const { return std::string(text(key)); }
  /// A whole number that is not negative.
  std::optional<uint64_t> number(std::string_view key) const;
  std::optional<double> decimal(std::string_view key) const;
  bool flag(std::string_view key) const;
  /// The JSON text of what is there; "" without it.
  std::string json(std::string_view key) const;
  boost::json::value const* find(std::string_view key) const;
  boost::json::object const* object() const { return object_; }

 private:
  boost::json::object const* object_ = nullptr;
};

}  // namespace insomnia::llm
