#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Writes compact JSON straight into a string. Encoding is a hot path (one event for every piece of streamed text), so no
/// value tree is built.
namespace insomnia::wire {

/// `text` as a JSON string with its quotes. Malformed UTF-8 is replaced by U+FFFD, so what comes out is valid JSON always.
void append_json_string(std::string& out, std::string_view text);

/// `json` as it is, on one line. REQUIRES: well-formed JSON, as all our encoders and decoders give it.
void append_json_text(std::string& out, std::string_view json);

/// The same for text of unknown origin: what is not JSON becomes a JSON string, so that nothing is lost.
void append_checked_json(std::string& out, std::string_view json);

/// The shortest form that reads back as the same number, always with a point or exponent; null for what JSON cannot say.
void append_json_number(std::string& out, double value);

/// One JSON object: '{' at construction, '}' at destruction, members in the order of the calls.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  ~ObjectWriter() { out_ += '}'; }
  ObjectWriter(ObjectWriter const&) = delete;
  ObjectWriter& operator=(ObjectWriter const&) = delete;

  /// Starts a member; the caller writes its value into the returned string.
  std::string& key(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    append_json_string(out_, name);
    out_ += ':';
    return out_;
  }

  void string(std::string_view name, std::string_view value) { append_json_string(key(name), value); }
  void uint(std::string_view name, uint64_t value) { key(name) += std::to_string(value); }
  void integer(std::string_view name, int64_t value) { key(name) += std::to_string(value); }
  void boolean(std::string_view name, bool value) { key(name) += value ? "true" : "false"; }
  void null(std::string_view name) { key(name) += "null"; }
  void json(std::string_view name, std::string_view text) { append_json_text(key(name), text); }

  /// A nested object: `fill(ObjectWriter&)` writes its members.
  template <class Fill>
  void object(std::string_view name, Fill fill) {
    ObjectWriter inner(key(name));
    fill(inner);
  }

  /// A list: `write(std::string& out, element)` writes each element.
  template <class List, class Write>
  void list(std::string_view name, List const& elements, Write write) {
    key(name) += '[';
    bool first = true;
    for (auto const& element : elements) {
      if (!first) out_ += ',';
      first = false;
      write(out_, element);
    }
    out_ += ']';
  }

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace insomnia::wire
