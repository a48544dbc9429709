#pragma once

#include <boost/json.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "manifest/fields.hh"
#include "manifest/toml_document.hh"

/// Internal to this folder: JSON trees to structs, whatever format they came from.
namespace insomnia::manifest {

/// What one decoding shares: where the text came from, and the first error.
class DecodeContext {
 public:
  DecodeContext() = default;
  explicit DecodeContext(PlaceOf place, bool empty_tables_are_lists = false)
      : place_(std::move(place)), empty_tables_are_lists_(empty_tables_are_lists) {}

  void reject(std::string_view path, std::string_view why);
  /// Lua has one empty table for both.
  bool empty_tables_are_lists() const { return empty_tables_are_lists_; }
  /// The error, or `value`.
  template <class T>
  Result<T> finish(T value) && {
    if (error_) return std::unexpected(*std::move(error_));
    return value;
  }

 private:
  PlaceOf place_;
  bool empty_tables_are_lists_ = false;
  std::optional<Error> error_;
};

/// One table while it is decoded: remembers which keys were asked for, so that finish() can refuse all
/// others.
class DecodeTable {
 public:
  /// Something that is not a table is rejected and then read as an empty one.
  DecodeTable(DecodeContext& context, boost::json::value const& value, std::string path);
  DecodeTable(DecodeContext& context, boost::json::object const& object, std::string path);

  /// The value of a key, null when it is absent or JSON null.
  boost::json::value const* find(std::string_view key);
  /// The same for a key that has an older name; both together are an error.
  boost::json::value const* find(std::string_view key, std::string_view alias);
  void removed(RemovedKey const& key);
  void finish();

  DecodeContext& context() { return context_; }
  std::string path_of(std::string_view key) const { return key_path(path_, key); }
  void reject(std::string_view key, std::string_view why) { context_.reject(path_of(key), why); }

 private:
  DecodeContext& context_;
  boost::json::object const* object_;
  std::string path_;
  std::vector<std::string_view> asked_;
};

/// The sections that a manifest and a profile share: all but [pod] and the scopes.
void read_shared_sections(DecodeTable& root, Config& out);

/// Decodes the whole tree.
Result<Config> decode_config(boost::json::object const& object, DecodeContext context);
Result<Ceilings> decode_ceilings(boost::json::object const& object);

}  // namespace insomnia::manifest
