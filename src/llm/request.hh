#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/item.hh"
#include "wire/log_entry.hh"

namespace insomnia::llm {

/// A tool as the model is told of it. `input_schema` is JSON text of an object schema.
struct ToolDefinition {
  std::string name;
  std::string description;
  std::string input_schema;
  friend bool operator==(ToolDefinition const&, ToolDefinition const&) = default;
};

/// One model call. The views are valid only during Provider::call(), which serialises what it needs at once.
struct Request {
  std::string_view system_prompt;
  std::span<wire::Item const> items;
  std::span<ToolDefinition const> tools;
  wire::RequestConfig config;
  std::optional<size_t> cache_anchor;  ///< index into items
  std::string cache_key;
};

}  // namespace insomnia::llm
