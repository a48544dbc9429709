#include "base/text.hh"
#include "tools/tool.hh"

namespace insomnia::tools {
namespace {

constexpr size_t kMaxSummary = 4096;
constexpr std::string_view kNoteStart = "\n\n[truncated: ";
constexpr std::string_view kNoteEnd = " bytes dropped, refine your query]";
/// Room for the note with the longest 64-bit number.
constexpr size_t kReserve = kNoteStart.size() + 20 + kNoteEnd.size();
static_assert(kReserve == 68);

}  // namespace

Output limit_output(Output output, size_t limit) {
  if (output.summary.size() > kMaxSummary) {
    constexpr std::string_view kMark = "…";
    output.summary = std::string(text::prefix(output.summary, kMaxSummary - kMark.size())) + std::string(kMark);
  }
  if (!output.content || output.content->size() <= limit) return output;
  size_t whole = output.content->size();
  output.content->resize(text::prefix(*output.content, limit > kReserve ? limit - kReserve : 0).size());
  size_t dropped = whole - output.content->size();
  *output.content += kNoteStart;
  *output.content += std::to_string(dropped);
  *output.content += kNoteEnd;
  return output;
}

}  // namespace insomnia::tools
