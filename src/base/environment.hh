#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace insomnia {

/// The environment variables a component may see, as a value: nothing below main() reads the process environment.
class Environment {
 public:
  Environment() = default;
  explicit Environment(std::map<std::string, std::string, std::less<>> values) : values_(std::move(values)) {}
  /// A copy of this process's environment.
  static Environment of_process();

  /// The value, or nothing when the variable is unset or EMPTY (an empty value counts as unset everywhere).
  std::optional<std::string> get(std::string_view name) const;
  void set(std::string name, std::string value) { values_[std::move(name)] = std::move(value); }
  void unset(std::string_view name);

  /// "NAME=value" lines for exec, sorted.
  std::vector<std::string> lines() const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace insomnia
