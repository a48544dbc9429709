#include "base/environment.hh"

#include <unistd.h>

namespace insomnia {

Environment Environment::of_process() {
  Environment result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    std::string_view line = *entry;
    auto equals = line.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    result.set(std::string(line.substr(0, equals)), std::string(line.substr(equals + 1)));
  }
  return result;
}

std::optional<std::string> Environment::get(std::string_view name) const {
  auto it = values_.find(name);
  if (it == values_.end() || it->second.empty()) return std::nullopt;
  return it->second;
}

void Environment::unset(std::string_view name) {
  if (auto it = values_.find(name); it != values_.end()) values_.erase(it);
}

std::vector<std::string> Environment::lines() const {
  std::vector<std::string> result;
  result.reserve(values_.size());
  for (auto const& [name, value] : values_) result.push_back(name + "=" + value);
  return result;
}

}  // namespace insomnia
