#include "tools/context.hh"

#include <exception>

#include "base/text.hh"
#include "tools/bash.hh"
#include "tools/edit.hh"
#include "tools/glob.hh"
#include "tools/grep.hh"
#include "tools/read.hh"
#include "tools/write.hh"

namespace insomnia::tools {
namespace {

Result<Output> dispatch(Call& call, std::string_view tool, std::string_view arguments) {
  if (tool == "Read") return run_read(call, TRY(parse_read_input(arguments)));
  if (tool == "Write") return run_write(call, TRY(parse_write_input(arguments)));
  if (tool == "Edit") return run_edit(call, TRY(parse_edit_input(arguments)));
  if (tool == "Glob") return run_glob(call, TRY(parse_glob_input(arguments)));
  if (tool == "Grep") return run_grep(call, TRY(parse_grep_input(arguments)));
  if (tool == "Bash") return run_bash(call, TRY(parse_bash_input(arguments)));
  return fail(Code::NotFound, "unknown tool: " + std::string(tool));
}

}  // namespace

ToolContext::ToolContext(HandsStart const& start, HandsDescriptors given, CommandGuard command_guard)
    : cwd(start.cwd),
      environment(start.environment),
      read_bytes(start.read_bytes),
      gate(scope::Scope::from_resolved(start.scope), scope::resolve_path(start.spill_dir).value_or(""), start.own_directories),
      tracker(start.observed),
      directories(std::move(given.directories)),
      guard(std::move(command_guard)),
      spill(start.spill_dir, std::move(given.spill)),
      processes(start.marker) {}

Output run_tool(Call& call, std::string_view tool, std::string_view arguments_json) {
  Output output;
  try {
    auto result = dispatch(call, tool, arguments_json);
    output = result ? *std::move(result) : failed(result.error());
  } catch (std::exception const& exception) {  // out of memory, above all
    output = failed({Code::Internal, std::string(tool) + ": " + exception.what()});
  }
  // Paths and what a tool shows of files need not be UTF-8, what goes out must be.
  if (!text::is_utf8(output.summary)) output.summary = text::to_utf8(output.summary);
  if (output.content && !text::is_utf8(*output.content)) output.content = text::to_utf8(*output.content);
  return output;
}

}  // namespace insomnia::tools
