#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"

/// Helpers for codecs. Only .cc files include <boost/json.hpp>; raw JSON does not travel across layers, JSON text may.
namespace insomnia::json {

/// Parses one JSON text (UTF-8 checked, nesting up to 128). The error says at which byte and why.
Result<boost::json::value> parse(std::string_view text);

/// Parses one JSON text that must be an object.
Result<boost::json::object> parse_object(std::string_view text);

/// Compact JSON. Strings must be well-formed UTF-8 (text::to_utf8 what comes from outside).
std::string dump(boost::json::value const& value);
std::string dump(boost::json::object const& value);
/// Indented with two spaces.
std::string dump_pretty(boost::json::value const& value);

/// Takes typed fields out of an object. The first failure is kept, later reads give empty values; ask finish() at the end:
///   Reader reader(object, "pod"); out.name = reader.string("name"); TRY(reader.finish());
/// `null` counts as absent. Keys that nobody asks for are skipped (`strict()` in finish() makes them errors).
class Reader {
 public:
  /// `where` names the object in error texts; `object` must outlive the reader.
  explicit Reader(boost::json::object const& object, std::string where = "");

  bool has(std::string_view key);

  std::string string(std::string_view key);
  std::optional<std::string> optional_string(std::string_view key);
  std::string string_or(std::string_view key, std::string_view fallback);

  int64_t integer(std::string_view key);
  uint64_t uint(std::string_view key);
  std::optional<int64_t> optional_integer(std::string_view key);
  std::optional<uint64_t> optional_uint(std::string_view key);
  uint64_t uint_or(std::string_view key, uint64_t fallback);
  std::optional<double> optional_number(std::string_view key);

  bool boolean_or(std::string_view key, bool fallback);
  std::optional<bool> optional_boolean(std::string_view key);

  /// A list of strings; absent is empty.
  std::vector<std::string> strings(std::string_view key);

  /// The nested value, or null when absent (and, for require_*, an error).
  boost::json::value const* find(std::string_view key);
  boost::json::object const* object(std::string_view key);
  boost::json::object const* require_object(std::string_view key);
  boost::json::array const* array(std::string_view key);
  boost::json::array const* require_array(std::string_view key);

  /// Records an error of the caller's own.
  void reject(std::string_view key, std::string_view why);
  /// Takes over the error of a nested decode.
  template <class T>
  T take(Result<T> result) {
    if (result) return *std::move(result);
    if (!error_) error_ = std::move(result).error();
    return T{};
  }

  bool ok() const { return !error_; }
  Result<void> finish() const;
  /// Like finish(), and any key that was never asked for is an error that names it.
  Result<void> finish_strict() const;
  /// The path of a key for error texts, "pod.name".
  std::string path_of(std::string_view key) const;

 private:
  boost::json::value const* lookup(std::string_view key);

  boost::json::object const& object_;
  std::string where_;
  std::vector<std::string> asked_;
  std::optional<Error> error_;
};

}  // namespace insomnia::json
