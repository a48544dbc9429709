#include <boost/json.hpp>
#include <cstdio>

#include "manifest/encode.hh"
#include "manifest/toml_document.hh"

namespace insomnia::manifest {
namespace bj = boost::json;

namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04X", byte);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string key_text(std::string_view key) {
  std::string path = key_path("", key);
  return path.starts_with('"') ? quoted(key) : path;
}

std::string number_text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  std::string out = text;
  // TOML tells floats from integers by the form.
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

std::string inline_text(bj::value const& value) {
  switch (value.kind()) {
    case bj::kind::string:
      return quoted(value.get_string());
    case bj::kind::bool_:
      return value.get_bool() ? "true" : "false";
    case bj::kind::int64:
      return std::to_string(value.get_int64());
    case bj::kind::uint64:
      return std::to_string(value.get_uint64());
    case bj::kind::double_:
      return number_text(value.get_double());
    case bj::kind::array: {
      std::string out;
      for (auto const& member : value.get_array()) out += (out.empty() ? "" : ", ") + inline_text(member);
      return "[" + out + "]";
    }
    case bj::kind::object: {
      std::string out;
      for (auto const& member : value.get_object()) {
        if (member.value().is_null()) continue;
        out += (out.empty() ? "" : ", ") + key_text(member.key()) + " = " + inline_text(member.value());
      }
      return out.empty() ? "{}" : "{ " + out + " }";
    }
    case bj::kind::null:
      break;
  }
  return "\"\"";
}

bool is_table_list(bj::value const& value) {
  auto const* list = value.if_array();
  return list != nullptr && !list->empty() && list->front().is_object();
}

void write_table(bj::object const& table, std::string const& path, std::string& out) {
  for (auto const& member : table) {
    bj::value const& value = member.value();
    if (value.is_null() || value.is_object() || is_table_list(value)) continue;
    out += key_text(member.key()) + " = " + inline_text(value) + "\n";
  }
  for (auto const& member : table) {
    std::string inner = (path.empty() ? "" : path + ".") + key_text(member.key());
    if (auto const* object = member.value().if_object()) {
      out += (out.empty() ? "[" : "\n[") + inner + "]\n";
      write_table(*object, inner, out);
    } else if (is_table_list(member.value())) {
      for (auto const& row : member.value().get_array()) {
        out += (out.empty() ? "[[" : "\n[[") + inner + "]]\n";
        write_table(row.get_object(), inner, out);
      }
    }
  }
}

}  // namespace

std::string write_toml(bj::object const& object) {
  std::string out;
  write_table(object, "", out);
  return out;
}

std::string to_toml(Config const& config) {
  return write_toml(encode_config(config));
}

}  // namespace insomnia::manifest
