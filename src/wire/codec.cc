#include "wire/codec.hh"

#include <boost/json.hpp>
#include <limits>

#include "scope/rules_json.hh"

namespace insomnia::wire::codec {
namespace bj = boost::json;

namespace {

struct SegmentWriter {
  ObjectWriter& writer;
  void operator()(TextSegment const& s) const {
    writer.string("kind", "text");
    writer.string("content", s.content);
  }
  void operator()(PasteSegment const& s) const {
    writer.string("kind", "paste");
    writer.uint("id", s.id);
    writer.uint("chars", s.chars);
    writer.uint("lines", s.lines);
    writer.string("content", s.content);
  }
  void operator()(FileRefSegment const& s) const {
    writer.string("kind", "file_ref");
    writer.string("path", s.path);
  }
  void operator()(KnowledgeRefSegment const& s) const {
    writer.string("kind", "knowledge_ref");
    writer.string("slug", s.slug);
  }
  void operator()(WorkflowInvokeSegment const& s) const {
    writer.string("kind", "workflow_invoke");
    writer.string("slug", s.slug);
  }
  void operator()(UnknownSegment const&) const { writer.string("kind", "unknown"); }
};

uint32_t read_u32(json::Reader& reader, std::string_view key) {
  uint64_t value = reader.uint(key);
  if (value > std::numeric_limits<uint32_t>::max()) reader.reject(key, "is too large");
  return static_cast<uint32_t>(value);
}

Result<Segment> read_segment(bj::object const& object, std::string where) {
  json::Reader reader(object, std::move(where));
  std::string kind = reader.string("kind");
  Segment segment = UnknownSegment{};
  if (kind == "text") {
    segment = TextSegment{reader.string("content")};
  } else if (kind == "paste") {
    PasteSegment paste;
    paste.id = read_u32(reader, "id");
    paste.chars = read_u32(reader, "chars");
    paste.lines = read_u32(reader, "lines");
    paste.content = reader.string("content");
    segment = std::move(paste);
  } else if (kind == "file_ref") {
    segment = FileRefSegment{reader.string("path")};
  } else if (kind == "knowledge_ref") {
    segment = KnowledgeRefSegment{reader.string("slug")};
  } else if (kind == "workflow_invoke") {
    segment = WorkflowInvokeSegment{reader.string("slug")};
  }
  TRY(reader.finish());
  return segment;
}

/// Reads a list of objects with `read_one(object, where)`; the first failure is the reader's.
template <class T, class ReadOne>
std::vector<T> read_objects(json::Reader& reader, std::string_view key, bj::array const* list, ReadOne read_one) {
  std::vector<T> result;
  if (list == nullptr) return result;
  result.reserve(list->size());
  for (auto const& element : *list) {
    if (!element.is_object()) {
      reader.reject(key, "must be a list of objects");
      return {};
    }
    result.push_back(reader.take(read_one(element.as_object(), reader.path_of(key))));
    if (!reader.ok()) return {};
  }
  return result;
}

}  // namespace

void absorb(json::Reader& outer, Result<void> const& nested) {
  if (!nested) outer.take<int>(std::unexpected(nested.error()));
}

void write_segments(ObjectWriter& writer, std::string_view key, Segments const& segments) {
  writer.list(key, segments, [](std::string& out, Segment const& segment) {
    ObjectWriter inner(out);
    std::visit(SegmentWriter{inner}, segment);
  });
}

Segments read_segments(json::Reader& reader, std::string_view key) {
  return read_objects<Segment>(reader, key, reader.require_array(key), read_segment);
}

void write_rules(ObjectWriter& writer, std::string_view key, std::vector<scope::ScopeRule> const& rules) {
  writer.list(key, rules, [](std::string& out, scope::ScopeRule const& rule) {
    ObjectWriter inner(out);
    inner.string("target", rule.target);
    inner.string("permission", rule.permission == scope::Permission::Write ? "write" : "read");
    inner.boolean("recursive", rule.recursive);
  });
}

std::vector<scope::ScopeRule> read_rules(json::Reader& reader, std::string_view key) {
  return scope::rules_from_json(reader, key);
}

}  // namespace insomnia::wire::codec
