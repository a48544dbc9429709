#include "http/sse.hh"

#include <gtest/gtest.h>

namespace insomnia::http {
namespace {

std::vector<SseEvent> parse(std::vector<std::string_view> const& pieces) {
  SseParser parser;
  std::vector<SseEvent> events;
  for (auto piece : pieces) EXPECT_TRUE(parser.feed(piece, events));
  return events;
}

std::vector<SseEvent> const kTwo{{"a", "1\n2"}, {"message", "3"}};

TEST(SseParser, TakesAllThreeLineEnds) {
  EXPECT_EQ(parse({"event: a\ndata: 1\ndata: 2\n\ndata: 3\n\n"}), kTwo);
  EXPECT_EQ(parse({"event: a\r\ndata: 1\r\ndata: 2\r\n\r\ndata: 3\r\n\r\n"}), kTwo);
  EXPECT_EQ(parse({"event: a\rdata: 1\rdata: 2\r\rdata: 3\r\r"}), kTwo);
}

TEST(SseParser, CutAtAnyByteGivesTheSameEvents) {
  for (std::string_view text : {"\xef\xbb\xbf" "event: a\ndata: 1\ndata: 2\n\n: note\n\ndata:3\n\n",
                                "event:a\r\ndata:1\r\ndata:2\r\n\r\nid: 7\r\ndata: 3\r\n\r\n",
                                "event: a\rdata: 1\rdata: 2\r\rretry: 5\rdata: 3\r\r"}) {
    for (size_t cut = 0; cut <= text.size(); ++cut) {
      EXPECT_EQ(parse({text.substr(0, cut), text.substr(cut)}), kTwo) << cut;
    }
    std::vector<std::string_view> bytes;
    for (size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
    EXPECT_EQ(parse(bytes), kTwo);
  }
}

TEST(SseParser, AFieldWithoutColonHasAnEmptyValueAndOneSpaceIsTakenOff) {
  EXPECT_EQ(parse({"data\n\n"}), (std::vector<SseEvent>{{"message", ""}}));
  EXPECT_EQ(parse({"data:  two\n\n"}), (std::vector<SseEvent>{{"message", " two"}}));
  EXPECT_EQ(parse({"data\ndata\n\n"}), (std::vector<SseEvent>{{"message", "\n"}}));
}

TEST(SseParser, SkipsCommentsUnknownFieldsAndEventsWithoutData) {
  EXPECT_EQ(parse({": ping\n\nevent: lonely\n\nid: 1\nfoo: bar\ndata: x\n\n"}), (std::vector<SseEvent>{{"message", "x"}}));
}

TEST(SseParser, AByteOrderMarkCountsOnlyAtTheStart) {
  EXPECT_EQ(parse({"data: a\n\n\xef\xbb\xbf" "data: b\n\n"}), (std::vector<SseEvent>{{"message", "a"}}));
}

TEST(SseParser, AnEventThatIsNotEndedIsNotDelivered) { EXPECT_TRUE(parse({"data: a\n"}).empty()); }

TEST(SseParser, RefusesAnEventLargerThanTheLimit) {
  std::vector<SseEvent> events;
  SseParser one_line(100);
  auto refused = one_line.feed("data: " + std::string(200, 'x'), events);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::LimitReached);
  SseParser many_lines(100);
  Result<void> fed;
  for (int i = 0; i < 50 && fed; ++i) fed = many_lines.feed("data: 12345\n", events);
  EXPECT_FALSE(fed);
  EXPECT_TRUE(events.empty());
}

}  // namespace
}  // namespace insomnia::http
