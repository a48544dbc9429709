#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"
#include "tools/schema.hh"
#include "tools/tool.hh"

namespace insomnia::tools {
namespace {

constexpr std::string_view kStatusSchema = R"({"type":"string","enum":["pending","inprogress","completed","deleted"]})";
constexpr std::string_view kModeSchema = R"({"type":"string","enum":["files_with_matches","content","count"]})";
constexpr bool kOptional = false;

std::vector<Definition> make_definitions() {
  return {
      {"Read", "Show a text file with line numbers.",
       object_schema({{"file_path", "string", "Absolute path"},
                      {"offset", "integer", "First line, counted from 0", kOptional},
                      {"limit", "integer", "Number of lines (default 2000)", kOptional}}),
       Place::Hands},
      {"Write", "Create a file or replace it as a whole. An existing file must have been read completely before. Missing directories are made.",
       object_schema({{"file_path", "string", "Absolute path"}, {"content", "string", "The whole new content"}}), Place::Hands},
      {"Edit", "Replace an exact string in a file that was read before. It must occur once, or set replace_all.",
       object_schema({{"file_path", "string", "Absolute path"},
                      {"old_string", "string", "Exact text, without the line numbers that Read shows"},
                      {"new_string", "string", "Its replacement"},
                      {"replace_all", "boolean", "Replace every occurrence (default false)", kOptional}}),
       Place::Hands},
      {"Glob",
       "List files by name, newest first. * and ? stay within one directory, **/ matches at any depth; also [a-z] and {a,b}. "
       "Files ignored by .gitignore are left out unless the pattern names their directory.",
       object_schema({{"pattern", "string", "E.g. **/*.cc"},
                      {"path", "string", "Absolute directory to search (default: working directory)", kOptional}}),
       Place::Hands},
      {"Grep", "Search file contents with a regular expression (RE2 syntax). Honours .gitignore, skips hidden and binary files.",
       object_schema({{"pattern", "string", "Regular expression"},
                      {"path", "string", "Absolute file or directory (default: working directory)", kOptional},
                      {"glob", "string", "Only these files, e.g. *.cc or !test/**", kOptional},
                      {"type", "string", "Only this file type, e.g. cpp, py, rust", kOptional},
                      {"output_mode", kModeSchema, "Default files_with_matches", kOptional},
                      {"-n", "boolean", "Line numbers (default true)", kOptional},
                      {"-i", "boolean", "Ignore case", kOptional},
                      {"-A", "integer", "Lines after a match", kOptional},
                      {"-B", "integer", "Lines before", kOptional},
                      {"-C", "integer", "Lines around", kOptional},
                      {"multiline", "boolean", "Let the pattern span lines and . match a newline", kOptional},
                      {"head_limit", "integer", "Most results to show (default 250)", kOptional},
                      {"offset", "integer", "Results to skip first", kOptional}}),
       Place::Hands},
      {"Bash",
       "Run a command with bash in the working directory; nothing but files is kept between calls. It ends with the shell: background jobs "
       "(&) run on. Long output is saved to a file that Read can show. Prefer Read, Edit, Glob and Grep for files.",
       object_schema({{"command", "string", "The command"},
                      {"timeout", "integer", "Seconds, 1 to 600 (default 120); then everything it started is killed", kOptional}}),
       Place::Hands},
      {"TaskCreate", "Add a task to your task list. Use the list for work of several steps.",
       object_schema({{"subject", "string", "Short title"}, {"description", "string", "What is to be done"}}), Place::Brain},
      {"TaskList", "Show your task list.", object_schema({}), Place::Brain},
      {"TaskGet", "Show one task.", object_schema({{"taskid", "integer", ""}}), Place::Brain},
      {"TaskUpdate", "Change a task: at least one of status, subject, description.",
       object_schema({{"taskid", "integer", ""},
                      {"status", kStatusSchema, "", kOptional},
                      {"subject", "string", "", kOptional},
                      {"description", "string", "", kOptional}}),
       Place::Brain},
  };
}

std::string_view kind_of(Error const& error) {
  if (error.os_errno != 0) return "Execution failed: ";
  switch (error.code) {
    case Code::InvalidArgument:
    case Code::PermissionDenied:
      return "Invalid argument: ";
    case Code::Internal:
      return "Internal error: ";
    case Code::Cancelled:
      return "";
    default:
      return "Execution failed: ";
  }
}

}  // namespace

std::vector<Definition> const& builtin_definitions() {
  static std::vector<Definition> const definitions = make_definitions();
  return definitions;
}

Output failed(Error const& error) {
  std::string_view kind = kind_of(error);
  std::string message = text::is_utf8(error.message) ? error.message : text::to_utf8(error.message);
  if (error.code == Code::Internal || !message.starts_with(kind)) message.insert(0, kind);
  return {"Tool execution failed: " + message, std::nullopt, true};
}

std::string call_headline(std::string_view arguments_json) {
  constexpr size_t kLength = 200;
  auto object = json::parse_object(arguments_json);
  if (!object) return "";
  for (auto key : {"command", "file_path", "path", "pattern", "query", "url", "name", "subject"}) {
    auto it = object->find(key);
    if (it != object->end() && it->value().is_string()) return text::one_line(std::string_view(it->value().get_string()), kLength);
  }
  return "";
}

}  // namespace insomnia::tools
