#include "base/json.hh"

#include <algorithm>
#include <boost/json.hpp>

namespace insomnia::json {
namespace bj = boost::json;

namespace {

constexpr size_t kMaxDepth = 128;

void pretty(bj::value const& value, std::string& out, size_t depth) {
  auto indent = [&](size_t level) { out.append(2 * level, ' '); };
  if (auto const* object = value.if_object(); object != nullptr && !object->empty()) {
    out += "{\n";
    bool first = true;
    for (auto const& [key, member] : *object) {
      if (!first) out += ",\n";
      first = false;
      indent(depth + 1);
      out += bj::serialize(bj::string(key)) + ": ";
      pretty(member, out, depth + 1);
    }
    out += "\n";
    indent(depth);
    out += "}";
  } else if (auto const* array = value.if_array(); array != nullptr && !array->empty()) {
    out += "[\n";
    bool first = true;
    for (auto const& member : *array) {
      if (!first) out += ",\n";
      first = false;
      indent(depth + 1);
      pretty(member, out, depth + 1);
    }
    out += "\n";
    indent(depth);
    out += "]";
  } else {
    out += bj::serialize(value);
  }
}

}  // namespace

Result<bj::value> parse(std::string_view text) {
  bj::parse_options options;
  options.max_depth = kMaxDepth;
  bj::parser parser({}, options);
  bj::error_code error;
  size_t used = parser.write(text.data(), text.size(), error);
  if (error) {
    return fail(Code::InvalidArgument, "invalid JSON at byte " + std::to_string(used) + ": " + error.message());
  }
  return parser.release();
}

Result<bj::object> parse_object(std::string_view text) {
  bj::value value = TRY(parse(text));
  if (!value.is_object()) return fail(Code::InvalidArgument, "invalid JSON: an object is wanted");
  return std::move(value.as_object());
}

std::string dump(bj::value const& value) { return bj::serialize(value); }
std::string dump(bj::object const& value) { return bj::serialize(value); }

std::string dump_pretty(bj::value const& value) {
  std::string out;
  pretty(value, out, 0);
  return out;
}

Reader::Reader(bj::object const& object, std::string where) : object_(object), where_(std::move(where)) {}

std::string Reader::path_of(std::string_view key) const {
  return where_.empty() ? std::string(key) : where_ + "." + std::string(key);
}

bj::value const* Reader::lookup(std::string_view key) {
  asked_.emplace_back(key);
  auto it = object_.find(key);
  if (it == object_.end() || it->value().is_null()) return nullptr;
  return &it->value();
}

void Reader::reject(std::string_view key, std::string_view why) {
  if (!error_) error_ = Error{Code::InvalidArgument, path_of(key) + ": " + std::string(why)};
}

bool Reader::has(std::string_view key) { return lookup(key) != nullptr; }

std::optional<std::string> Reader::optional_string(std::string_view key) {
  auto const* value = lookup(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    reject(key, "must be a string");
    return std::nullopt;
  }
  return std::string(value->as_string());
}

std::string Reader::string(std::string_view key) {
  if (lookup(key) == nullptr) reject(key, "is missing");
  return optional_string(key).value_or("");
}

std::string Reader::string_or(std::string_view key, std::string_view fallback) {
  return optional_string(key).value_or(std::string(fallback));
}

std::optional<int64_t> Reader::optional_integer(std::string_view key) {
  auto const* value = lookup(key);
  if (value == nullptr) return std::nullopt;
  bj::error_code error;
  auto number = value->to_number<int64_t>(error);
  if (error) {
    reject(key, "must be an integer");
    return std::nullopt;
  }
  return number;
}

std::optional<uint64_t> Reader::optional_uint(std::string_view key) {
  auto const* value = lookup(key);
  if (value == nullptr) return std::nullopt;
  bj::error_code error;
  auto number = value->to_number<uint64_t>(error);
  if (error) {
    reject(key, "must be a non-negative integer");
    return std::nullopt;
  }
  return number;
}

int64_t Reader::integer(std::string_view key) {
  if (lookup(key) == nullptr) reject(key, "is missing");
  return optional_integer(key).value_or(0);
}

uint64_t Reader::uint(std::string_view key) {
  if (lookup(key) == nullptr) reject(key, "is missing");
  return optional_uint(key).value_or(0);
}

uint64_t Reader::uint_or(std::string_view key, uint64_t fallback) { return optional_uint(key).value_or(fallback); }

std::optional<double> Reader::optional_number(std::string_view key) {
  auto const* value = lookup(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    reject(key, "must be a number");
    return std::nullopt;
  }
  return value->to_number<double>();
}

std::optional<bool> Reader::optional_boolean(std::string_view key) {
  auto const* value = lookup(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) {
    reject(key, "must be true or false");
    return std::nullopt;
  }
  return value->as_bool();
}

bool Reader::boolean_or(std::string_view key, bool fallback) { return optional_boolean(key).value_or(fallback); }

std::vector<std::string> Reader::strings(std::string_view key) {
  std::vector<std::string> result;
  auto const* list = array(key);
  if (list == nullptr) return result;
  for (auto const& member : *list) {
    if (!member.is_string()) {
      reject(key, "must be a list of strings");
      return {};
    }
    result.emplace_back(member.as_string());
  }
  return result;
}

bj::value const* Reader::find(std::string_view key) { return lookup(key); }

bj::object const* Reader::object(std::string_view key) {
  auto const* value = lookup(key);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) reject(key, "must be an object");
  return value->if_object();
}

bj::object const* Reader::require_object(std::string_view key) {
  if (lookup(key) == nullptr) reject(key, "is missing");
  return object(key);
}

bj::array const* Reader::array(std::string_view key) {
  auto const* value = lookup(key);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) reject(key, "must be a list");
  return value->if_array();
}

bj::array const* Reader::require_array(std::string_view key) {
  if (lookup(key) == nullptr) reject(key, "is missing");
  return array(key);
}

Result<void> Reader::finish() const {
  if (error_) return std::unexpected(*error_);
  return {};
}

Result<void> Reader::finish_strict() const {
  TRY(finish());
  for (auto const& member : object_) {
    if (std::find(asked_.begin(), asked_.end(), member.key()) == asked_.end()) {
      return fail(Code::InvalidArgument, path_of(member.key()) + ": unknown key");
    }
  }
  return {};
}

}  // namespace insomnia::json
