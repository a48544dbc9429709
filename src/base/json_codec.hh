#pragma once

#include <boost/json.hpp>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.hh"
#include "base/text.hh"

/// What codecs of messages have in common. For .cc files alone.
namespace insomnia::json {

inline boost::json::string utf8(std::string_view bytes) { return boost::json::string(text::is_utf8(bytes) ? std::string(bytes) : text::to_utf8(bytes)); }

inline boost::json::array encode_strings(std::vector<std::string> const& list) {
  boost::json::array result;
  for (auto const& text : list) result.push_back(utf8(text));
  return result;
}

inline boost::json::object encode_string_map(std::map<std::string, std::string> const& map) {
  boost::json::object result;
  for (auto const& [name, value] : map) result[utf8(name)] = utf8(value);
  return result;
}

/// Absent is empty.
inline std::map<std::string, std::string> decode_string_map(Reader& reader, std::string_view key) {
  std::map<std::string, std::string> result;
  auto const* object = reader.object(key);
  if (object == nullptr) return result;
  for (auto const& member : *object) {
    if (member.value().is_string()) result[std::string(member.key())] = std::string(member.value().as_string());
    else reader.reject(key, "must be an object of strings");
  }
  return result;
}

/// Calls `decode` with a Reader for each object of the list at `key`; absent is empty.
template <class T, class Decode>
std::vector<T> decode_list(Reader& parent, std::string_view key, Decode decode) {
  std::vector<T> result;
  auto const* list = parent.array(key);
  if (list == nullptr) return result;
  for (auto const& member : *list) {
    if (!member.is_object()) {
      parent.reject(key, "must be a list of objects");
      return result;
    }
    Reader reader(member.as_object(), parent.path_of(key));
    result.push_back(decode(reader));
    if (auto done = reader.finish(); !done) {
      parent.take<int>(std::unexpected(done.error()));
      return result;
    }
  }
  return result;
}

/// `value` as one of several kinds of message, if all could be read.
template <class Variant, class T>
Result<Variant> finished(Reader const& reader, T value) {
  TRY(reader.finish());
  return Result<Variant>(std::in_place, std::move(value));
}

}  // namespace insomnia::json
