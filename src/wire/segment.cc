#include "wire/segment.hh"

namespace insomnia::wire {
namespace {

struct Flatten {
  std::string& out;
  void operator()(TextSegment const& s) const { out += s.content; }
  void operator()(PasteSegment const& s) const { out += s.content; }
  void operator()(FileRefSegment const& s) const { out += "@" + s.path; }
  void operator()(KnowledgeRefSegment const& s) const { out += "#" + s.slug; }
  void operator()(WorkflowInvokeSegment const& s) const { out += "/" + s.slug; }
  void operator()(UnknownSegment const&) const { out += "[unknown input segment]"; }
};

}  // namespace

std::string flatten(Segments const& segments) {
  std::string result;
  for (auto const& segment : segments) std::visit(Flatten{result}, segment);
  return result;
}

Segments text_segments(std::string text) { return {TextSegment{std::move(text)}}; }

}  // namespace insomnia::wire
