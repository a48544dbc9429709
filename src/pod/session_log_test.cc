#include "pod/session_log.hh"

#include "pod/fixture_test.hh"

namespace insomnia::pod {
namespace {

class SessionLogTest : public PodTest {
 protected:
  using Records = std::vector<wire::LogRecord>;

  std::unique_ptr<SessionLog> open() { return std::make_unique<SessionLog>(worker, clock, paths.sessions_dir(), location); }
  static wire::LogRecord start() { return wire::SegmentStart{.session_id = "0192f0c0-0000-7000-8000-000000000001"}; }
  static wire::LogRecord said(std::string text) { return wire::AssistantItem{wire::assistant_message(std::move(text))}; }
  static wire::LogRecord ended(std::string result) { return wire::RunCompleted{false, std::move(result), std::nullopt}; }
  Result<void> append(SessionLog& log, Records const& records) {
    std::optional<Result<void>> outcome;
    log.append(records, true, [&](Result<void> result) { outcome = std::move(result); });
    run_until([&] { return outcome.has_value(); });
    return *outcome;
  }
  std::vector<std::string> on_disk() {
    auto segment = session::load_segment(paths.sessions_dir(), location);
    EXPECT_TRUE(segment);
    return segment ? segment->lines : std::vector<std::string>{};
  }

  loop::Worker worker{loop, "log"};
  session::Location location{"0192f0c0-0000-7000-8000-000000000001", "0192f0c0-0000-7000-8000-000000000002"};
};

TEST_F(SessionLogTest, NothingIsMadeBeforeTheFirstRecord) {
  auto log = open();
  EXPECT_TRUE(log->empty());
  EXPECT_FALSE(io::exists(session::segment_path(paths.sessions_dir(), location)));
}

TEST_F(SessionLogTest, AppendsAreWrittenAndConfirmedInOrder) {
  auto log = open();
  std::vector<int> confirmed;
  for (int i = 0; i < 20; ++i) {
    Records records{i == 0 ? start() : said(std::to_string(i))};
    log->append(records, i % 3 == 0, [&, i](Result<void> result) {
      EXPECT_TRUE(result);
      EXPECT_EQ(log->lines().size(), static_cast<size_t>(i + 1)) << "the mirror has what is confirmed";
      confirmed.push_back(i);
    });
  }
  run_until([&] { return confirmed.size() == 20; });
  EXPECT_TRUE(std::is_sorted(confirmed.begin(), confirmed.end()));
  EXPECT_EQ(on_disk(), log->lines());
}

TEST_F(SessionLogTest, AClockThatIsSetBackChangesNoOrder) {
  FakeClock jumping;
  SessionLog log(worker, jumping, paths.sessions_dir(), location);
  ASSERT_TRUE(append(log, {start()}));
  for (int64_t wall : {1'700'000'000'002, 1'700'000'000'001, int64_t{0}}) {
    jumping.set_wall(wall);
    ASSERT_TRUE(append(log, {said(std::to_string(wall))}));
  }
  auto segment = session::load_segment(paths.sessions_dir(), location);
  ASSERT_TRUE(segment) << segment.error().message;
  EXPECT_EQ(segment->lines, log.lines());
  std::vector<std::string> texts;
  for (auto const& item : segment->state.history) texts.push_back(wire::message_text(std::get<wire::Message>(item)));
  EXPECT_EQ(texts, (std::vector<std::string>{"1700000000002", "1700000000001", "0"}));
}

TEST_F(SessionLogTest, ARolledBackRunLeavesTheMirrorButNotTheLog) {
  auto log = open();
  ASSERT_TRUE(append(*log, {start(), said("kept")}));
  ASSERT_TRUE(append(*log, {wire::Invoke{"user_send"}, wire::UserInput{wire::text_segments("oops"), std::nullopt}}));
  EXPECT_EQ(log->lines().size(), 4u);
  ASSERT_TRUE(append(*log, {ended("rolled_back")}));
  EXPECT_EQ(log->lines().size(), 2u);
  EXPECT_EQ(on_disk().size(), 5u);
  ASSERT_TRUE(append(*log, {wire::Invoke{"user_send"}, ended("finished")}));
  EXPECT_EQ(log->lines().size(), 4u);
}

TEST_F(SessionLogTest, AContinuedSegmentIsAppendedTo) {
  {
    auto log = open();
    ASSERT_TRUE(append(*log, {start(), said("one")}));
  }
  auto log = open();
  log->adopt(on_disk());
  ASSERT_TRUE(append(*log, {said("two")}));
  EXPECT_EQ(log->lines().size(), 3u);
  EXPECT_EQ(on_disk(), log->lines());
}

// The start of a log that could not be written is written again, not forgotten.
TEST_F(SessionLogTest, AfterAFailedStartTheLogIsStillEmpty) {
  ASSERT_TRUE(io::make_directories(paths.data_dir));
  ASSERT_TRUE(io::replace_file(paths.sessions_dir(), "in the way"));
  auto log = open();
  auto failed = append(*log, {start(), said("lost")});
  ASSERT_FALSE(failed);
  EXPECT_HAS(failed.error().message, paths.sessions_dir());
  EXPECT_TRUE(log->empty());
  EXPECT_TRUE(log->lines().empty());

  ASSERT_EQ(::unlink(paths.sessions_dir().c_str()), 0);
  ASSERT_TRUE(append(*log, {start(), said("there")}));
  EXPECT_EQ(on_disk(), log->lines());
  EXPECT_EQ(log->lines().size(), 2u);
}

// A crash between making the file and its first record leaves an empty segment.
TEST_F(SessionLogTest, AnEmptyFileIsBegunAnew) {
  ASSERT_TRUE(io::make_directories(paths.sessions_dir() + "/" + location.session_id));
  ASSERT_TRUE(io::replace_file(session::segment_path(paths.sessions_dir(), location), ""));
  auto log = open();
  auto written = append(*log, {start()});
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(on_disk().size(), 1u);
}

TEST_F(SessionLogTest, DestroyedWhileWritingItCallsNobody) {
  auto log = open();
  bool called = false;
  log->append({start()}, true, [&](Result<void> const&) { called = true; });
  log.reset();
  worker.drain();
  loop.run_once(0);
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace insomnia::pod
