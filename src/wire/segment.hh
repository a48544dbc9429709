#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace insomnia::wire {

/// Typed pieces of one user input, tagged by `kind` on the wire.
struct TextSegment {
  std::string content;
  friend bool operator==(TextSegment const&, TextSegment const&) = default;
};
struct PasteSegment {
  uint32_t id = 0;
  uint32_t chars = 0;
  uint32_t lines = 0;
  std::string content;
  friend bool operator==(PasteSegment const&, PasteSegment const&) = default;
};
struct FileRefSegment {
  std::string path;
  friend bool operator==(FileRefSegment const&, FileRefSegment const&) = default;
};
struct KnowledgeRefSegment {
  std::string slug;
  friend bool operator==(KnowledgeRefSegment const&, KnowledgeRefSegment const&) = default;
};
struct WorkflowInvokeSegment {
  std::string slug;
  friend bool operator==(WorkflowInvokeSegment const&, WorkflowInvokeSegment const&) = default;
};
/// A kind that this version does not know; its payload is lost.
struct UnknownSegment {
  friend bool operator==(UnknownSegment const&, UnknownSegment const&) = default;
};

using Segment =
    std::variant<TextSegment, PasteSegment, FileRefSegment, KnowledgeRefSegment, WorkflowInvokeSegment, UnknownSegment>;
using Segments = std::vector<Segment>;

/// The text that the model gets: plain concatenation; @path, #slug and /slug for references.
std::string flatten(Segments const& segments);
Segments text_segments(std::string text);

}  // namespace insomnia::wire
