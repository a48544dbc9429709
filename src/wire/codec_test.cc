// Every shape of doc/protocol.md and doc/session-format.md, line by line from testdata/: what is read is written back with the
// same bytes.
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "base/io.hh"
#include "base/text.hh"
#include "wire/event.hh"
#include "wire/log_entry.hh"
#include "wire/method.hh"

namespace insomnia::wire {
namespace {

using Codec = std::function<Result<std::string>(std::string_view)>;

template <class T>
Codec codec(Result<T> (*decode)(std::string_view), std::string (*encode)(T const&)) {
  return [=](std::string_view text) -> Result<std::string> { return encode(TRY(decode(text))); };
}

struct Format {
  std::string file;
  Codec codec;
};

std::ostream& operator<<(std::ostream& out, Format const& format) { return out << format.file; }

std::vector<Format> formats() {
  return {{"methods", codec(decode_method, encode_method)},
          {"events", codec(decode_event, encode_event)},
          {"pod_events", codec(decode_pod_event, encode_pod_event)},
          {"items", codec(decode_item, encode_item)},
          {"system_items", codec(decode_system_item, encode_system_item)},
          {"log_entries", codec(decode_log_entry, encode_log_entry)}};
}

std::vector<std::string> lines_of(std::string const& file) {
  auto content = io::read_file(INSOMNIA_SOURCE_DIR "/src/wire/testdata/" + file + ".jsonl");
  EXPECT_TRUE(content) << content.error().message;
  std::vector<std::string> lines;
  std::string text = content.value_or("");
  for (auto line : text::split(text, '\n')) {
    if (!line.empty()) lines.emplace_back(line);
  }
  EXPECT_FALSE(lines.empty());
  return lines;
}

class EveryShape : public testing::TestWithParam<Format> {};

TEST_P(EveryShape, KeepsItsBytes) {
  for (auto const& line : lines_of(GetParam().file)) {
    auto again = GetParam().codec(line);
    ASSERT_TRUE(again) << line << "\n" << again.error().message;
    EXPECT_EQ(*again, line);
  }
}

TEST_P(EveryShape, SkipsUnknownFieldsAndWhiteSpaceBetweenTokens) {
  for (auto const& line : lines_of(GetParam().file)) {
    std::string wider = " { \"from_the_future\" : [ {\"a\":\"}\\\"\"} , 1e-3 ] ,\t" + line.substr(1) + " \r\n";
    auto again = GetParam().codec(wider);
    ASSERT_TRUE(again) << wider << "\n" << again.error().message;
    EXPECT_EQ(*again, line);
  }
}

TEST_P(EveryShape, IsRefusedWhenCutAnywhere) {
  for (auto const& line : lines_of(GetParam().file)) {
    for (size_t size = 0; size < line.size(); ++size) {
      EXPECT_FALSE(GetParam().codec(line.substr(0, size))) << line.substr(0, size);
    }
  }
}

TEST_P(EveryShape, SurvivesAnyOneByteChange) {
  // The answer does not matter: nothing may crash, and what is accepted must be written as JSON that reads back.
  for (auto const& line : lines_of(GetParam().file)) {
    for (size_t at = 0; at < line.size(); ++at) {
      for (char c : {'"', '{', ']', '\\', '0', '\n', '\0', '\xff'}) {
        std::string changed = line;
        changed[at] = c;
        auto once = GetParam().codec(changed);
        if (!once) continue;
        auto twice = GetParam().codec(*once);
        ASSERT_TRUE(twice) << *once << "\n" << twice.error().message;
        ASSERT_EQ(*once, *twice);
        ASSERT_EQ(once->find('\n'), std::string::npos);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Wire, EveryShape, testing::ValuesIn(formats()),
                         [](testing::TestParamInfo<Format> const& info) { return info.param.file; });

TEST(Events, EveryKindHasACase) {
  std::set<size_t> seen;
  for (auto const& line : lines_of("events")) seen.insert(decode_event(line)->body.index());
  EXPECT_EQ(seen.size(), std::variant_size_v<EventBody> - 1) << "all but UnknownEvent";
}

TEST(Methods, EveryKindHasACase) {
  std::set<size_t> seen;
  for (auto const& line : lines_of("methods")) seen.insert(decode_method(line)->body.index());
  EXPECT_EQ(seen.size(), std::variant_size_v<MethodBody>);
}

TEST(LogEntries, EveryKindHasACase) {
  std::set<size_t> seen;
  for (auto const& line : lines_of("log_entries")) seen.insert(decode_log_entry(line)->record.index());
  EXPECT_EQ(seen.size(), std::variant_size_v<LogRecord> - 1) << "all but UnknownEntry";
}

TEST(PodEvents, EveryKindHasACase) {
  std::set<size_t> seen;
  for (auto const& line : lines_of("pod_events")) seen.insert(decode_pod_event(line)->index());
  EXPECT_EQ(seen.size(), std::variant_size_v<PodEvent> - 1) << "all but UnknownPodEvent";
}

}  // namespace
}  // namespace insomnia::wire
