#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "base/io.hh"
#include "session/log.hh"

namespace insomnia::session {
namespace {

using wire::LogEntry;

std::string line_of(wire::LogRecord record) { return wire::encode_log_entry({1, std::move(record)}); }

wire::SegmentStart start_record() {
  wire::SegmentStart start;
  start.session_id = "session";
  return start;
}

std::string const kStart = line_of(start_record());

std::string turn_end(uint64_t count) { return line_of(wire::TurnEndRecord{count}); }

/// A fresh sessions directory with one segment in it.
class SessionLog : public testing::Test {
 protected:
  void SetUp() override {
    // Thousands of syncs: in memory if there is such a place.
    std::string base = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : testing::TempDir();
    std::string pattern = base + "/session_test.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    sessions_ = root_ + "/data/sessions";
  }
  void TearDown() override { EXPECT_TRUE(io::remove_tree(root_)); }

  std::string path() const { return segment_path(sessions_, location_); }

  SegmentWriter create() {
    auto writer = SegmentWriter::create(sessions_, location_);
    if (!writer) throw std::runtime_error(writer.error().message);
    return std::move(*writer);
  }
  SegmentWriter open() {
    auto writer = SegmentWriter::open(sessions_, location_);
    if (!writer) throw std::runtime_error(writer.error().message);
    return std::move(*writer);
  }
  LoadedSegment load() {
    auto loaded = load_segment(sessions_, location_);
    if (!loaded) throw std::runtime_error(loaded.error().message);
    return std::move(*loaded);
  }
  std::string content() { return io::read_file(path()).value_or("(unreadable)"); }
  void put(std::string const& bytes) {
    ASSERT_TRUE(io::make_directories(io::parent_path(path())));
    ASSERT_TRUE(io::replace_file(path(), bytes));
  }

  std::string root_;
  std::string sessions_;
  Location location_{"session", "segment"};
};

unsigned mode_of(std::string const& path) {
  struct stat info{};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

TEST_F(SessionLog, WritesLinesThatLoadAgain) {
  SegmentWriter writer = create();
  ASSERT_TRUE(writer.append({kStart}, true));
  ASSERT_TRUE(writer.append({turn_end(1), turn_end(2)}, false));
  EXPECT_EQ(content(), kStart + "\n" + turn_end(1) + "\n" + turn_end(2) + "\n");
  LoadedSegment loaded = load();
  EXPECT_EQ(loaded.lines, (std::vector<std::string>{kStart, turn_end(1), turn_end(2)}));
  EXPECT_EQ(loaded.state.turn_count, 2u);
  EXPECT_EQ(loaded.state.entries, 3u);
  EXPECT_EQ(loaded.torn_bytes, 0u);
}

TEST_F(SessionLog, FilesAndDirectoriesAreForTheUserAlone) {
  SegmentWriter writer = create();
  EXPECT_EQ(mode_of(path()), 0600u);
  EXPECT_EQ(mode_of(io::parent_path(path())), 0700u);
  EXPECT_EQ(mode_of(sessions_), 0700u);
  EXPECT_EQ(mode_of(root_ + "/data"), 0700u);
}

TEST_F(SessionLog, ASegmentIsMadeOnce) {
  SegmentWriter writer = create();
  EXPECT_EQ(SegmentWriter::create(sessions_, location_).error().code, Code::AlreadyExists);
  EXPECT_EQ(SegmentWriter::open(sessions_, {"session", "other"}).error().code, Code::NotFound);
  EXPECT_EQ(load_segment(sessions_, {"session", "other"}).error().code, Code::NotFound);
}

TEST_F(SessionLog, IdsThatAreNoFileNamesAreRefused) {
  for (std::string bad : {"", ".", "..", "../x", "a/b", ".hidden"}) {
    EXPECT_EQ(SegmentWriter::create(sessions_, {bad, "s"}).error().code, Code::InvalidArgument) << bad;
    EXPECT_EQ(SegmentWriter::open(sessions_, {"s", bad}).error().code, Code::InvalidArgument) << bad;
    EXPECT_EQ(load_segment(sessions_, {"s", bad}).error().code, Code::InvalidArgument) << bad;
  }
}

TEST_F(SessionLog, TheFirstRecordMustBeASegmentStart) {
  SegmentWriter writer = create();
  EXPECT_EQ(writer.append({turn_end(1)}, false).error().code, Code::InvalidArgument);
  EXPECT_EQ(writer.append({"nonsense"}, false).error().code, Code::InvalidArgument);
  EXPECT_EQ(content(), "");
  EXPECT_TRUE(writer.append({kStart}, false));
  put(turn_end(1) + "\n");
  EXPECT_EQ(load_segment(sessions_, location_).error().code, Code::Corrupt);
}

TEST_F(SessionLog, ARecordIsOneLine) {
  SegmentWriter writer = create();
  ASSERT_TRUE(writer.append({kStart}, false));
  EXPECT_EQ(writer.append({turn_end(1), "two\nlines"}, false).error().code, Code::InvalidArgument);
  EXPECT_EQ(writer.append({""}, false).error().code, Code::InvalidArgument);
  EXPECT_EQ(writer.append({std::string("a\0b", 3)}, false).error().code, Code::InvalidArgument);
  EXPECT_EQ(content(), kStart + "\n");
}

TEST_F(SessionLog, ARecordOverTheLimitIsRefused) {
  SegmentWriter writer = create();
  ASSERT_TRUE(writer.append({kStart}, false));
  auto refused = writer.append({std::string(kMaxRecordBytes + 1, 'x')}, false);
  EXPECT_EQ(refused.error().code, Code::LimitReached);
  EXPECT_NE(refused.error().message.find(path()), std::string::npos);
  EXPECT_TRUE(writer.append({turn_end(1)}, false));
}

TEST_F(SessionLog, AForeignWriterIsNoticed) {
  SegmentWriter writer = create();
  ASSERT_TRUE(writer.append({kStart}, false));
  std::ofstream(path(), std::ios::app) << turn_end(9) << "\n";
  EXPECT_EQ(writer.append({turn_end(1)}, false).error().code, Code::Conflict);
  EXPECT_EQ(load().lines.back(), turn_end(9));
}

TEST_F(SessionLog, AnEmptyLogHasNoEntries) {
  { SegmentWriter writer = create(); }
  EXPECT_EQ(load().state.entries, 0u);
  SegmentWriter writer = open();
  EXPECT_EQ(writer.append({turn_end(1)}, false).error().code, Code::InvalidArgument);
  EXPECT_TRUE(writer.append({kStart}, false));
}

/// Checks what is left of a log of whole records `records` after `damaged` replaced its file: `good` records and nothing else,
/// in the reader and in the writer, and the next append fits.
void expect_repaired(std::string const& sessions, Location const& location, std::vector<std::string> const& records,
                     std::string const& damaged, size_t good, size_t good_bytes) {
  std::string path = segment_path(sessions, location);
  ASSERT_TRUE(io::replace_file(path, damaged));
  std::vector<std::string> expected(records.begin(), records.begin() + static_cast<ptrdiff_t>(good));
  auto loaded = load_segment(sessions, location);
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(loaded->lines, expected);
  ASSERT_EQ(loaded->torn_bytes, damaged.size() - good_bytes);

  auto writer = SegmentWriter::open(sessions, location);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_EQ(writer->cut_bytes(), damaged.size() - good_bytes);
  std::string next = good == 0 ? kStart : turn_end(99);
  ASSERT_TRUE(writer->append({next}, false));
  loaded = load_segment(sessions, location);
  ASSERT_TRUE(loaded) << loaded.error().message;
  expected.push_back(next);
  ASSERT_EQ(loaded->lines, expected);
  ASSERT_EQ(loaded->torn_bytes, 0u);
}

class TornTail : public SessionLog {
 protected:
  void SetUp() override {
    SessionLog::SetUp();
    records_ = {kStart,
                line_of(wire::Invoke{"user_send", true}),
                line_of(wire::UserInput{wire::text_segments("grün\n€"), wire::MailRef{"p", 3}}),
                line_of(wire::AssistantItem{wire::ToolCall{"c1", "Read", "{}"}}),
                line_of(wire::ToolResultRecord{{"c1", "12 lines", "…", false}}),
                turn_end(1),
                line_of(wire::RunCompleted{false, "finished", 7})};
    SegmentWriter writer = create();
    ASSERT_TRUE(writer.append(records_, true));
    whole_ = content();
  }

  std::vector<std::string> records_;
  std::string whole_;
};

TEST_F(TornTail, CutAtAnyByteLosesAtMostTheUnfinishedRecord) {
  for (size_t size = 0; size <= whole_.size(); ++size) {
    std::string damaged = whole_.substr(0, size);
    auto good = static_cast<size_t>(std::count(damaged.begin(), damaged.end(), '\n'));
    size_t good_bytes = good == 0 ? 0 : damaged.rfind('\n') + 1;
    expect_repaired(sessions_, location_, records_, damaged, good, good_bytes);
    if (HasFatalFailure()) FAIL() << "cut at byte " << size;
  }
}

TEST_F(TornTail, NulPaddedFromAnyByteLosesAtMostTheUnfinishedRecord) {
  for (size_t size = 0; size < whole_.size(); size += size % 5 == 0 ? 1 : 4) {
    std::string start = whole_.substr(0, size);
    auto good = static_cast<size_t>(std::count(start.begin(), start.end(), '\n'));
    size_t good_bytes = good == 0 ? 0 : start.rfind('\n') + 1;
    for (std::string const& padding : {std::string(whole_.size() - size, '\0'), std::string(5000, '\0') + "\n",
                                       std::string(3, '\0') + "\"}\n\n", "\n" + std::string(9, '\0') + "\n \n" + std::string(2, '\0')}) {
      // A newline right after whole bytes of a record would commit it: those cases belong to damage.
      if (padding.front() == '\n' && size != good_bytes) continue;
      std::string damaged = start + padding;
      size_t kept = padding.front() == '\n' ? good_bytes + 1 : good_bytes;
      expect_repaired(sessions_, location_, records_, damaged, good, kept);
      if (HasFatalFailure()) FAIL() << "padded from byte " << size;
    }
  }
}

TEST_F(TornTail, ALongTailIsFoundAcrossReads) {
  for (size_t size : {65'535u, 65'536u, 65'537u, 262'144u, 300'000u}) {
    expect_repaired(sessions_, location_, records_, whole_ + std::string(size, 'x'), records_.size(), whole_.size());
    expect_repaired(sessions_, location_, records_, whole_ + std::string(size, '\0'), records_.size(), whole_.size());
    if (HasFatalFailure()) FAIL() << size;
  }
}

TEST_F(TornTail, ALogInsideARunSaysSo) {
  put(kStart + "\n" + records_[1] + "\n" + records_[2] + "\n" + records_[3].substr(0, 10));
  LoadedSegment loaded = load();
  EXPECT_TRUE(loaded.state.run_open);
  EXPECT_TRUE(loaded.state.run_delegated);
  EXPECT_TRUE(loaded.state.last_run_interrupted);
  EXPECT_EQ(loaded.torn_bytes, 10u);
}

TEST_F(SessionLog, DamageInTheMiddleIsNotRepairedAndNamesTheLine) {
  for (std::string const& damage : {std::string("{\"kind\":"), std::string("{}"), std::string("\0\0\0", 3), std::string("x")}) {
    std::string bytes = kStart + "\n\n" + turn_end(1) + "\n" + damage + "\n" + turn_end(2) + "\n";
    put(bytes);
    auto loaded = load_segment(sessions_, location_);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Code::Corrupt);
    EXPECT_NE(loaded.error().message.find(path() + ": line 4 is damaged"), std::string::npos) << loaded.error().message;
    EXPECT_NE(loaded.error().message.find("the 2 records before it are good"), std::string::npos) << loaded.error().message;
    EXPECT_EQ(open().cut_bytes(), 0u);
    EXPECT_EQ(content(), bytes);

    auto salvaged = salvage_segment(sessions_, location_);
    ASSERT_TRUE(salvaged);
    EXPECT_EQ(salvaged->lines, (std::vector<std::string>{kStart, turn_end(1)}));
    EXPECT_EQ(salvaged->state.turn_count, 1u);
    ASSERT_TRUE(salvaged->damage);
    EXPECT_EQ(salvaged->damage->line, 4u);
  }
}

TEST_F(SessionLog, ARecordThatIsWholeButBrokenIsNeverCut) {
  std::string bytes = kStart + "\n{\"kind\":\"turn_end\",\"ts\":1}\n";
  put(bytes);
  EXPECT_EQ(load_segment(sessions_, location_).error().code, Code::Corrupt);
  EXPECT_EQ(open().cut_bytes(), 0u);
  EXPECT_EQ(content(), bytes);
}

TEST_F(SessionLog, UnknownKindsAreSkippedAndTheirLinesStay) {
  put(kStart + "\n{\"kind\":\"dream\",\"ts\":2}\n" + turn_end(1) + "\n");
  LoadedSegment loaded = load();
  EXPECT_EQ(loaded.lines.size(), 3u);
  EXPECT_EQ(loaded.state.entries, 3u);
  EXPECT_EQ(loaded.state.unknown_entries, 1u);
  EXPECT_EQ(loaded.state.turn_count, 1u);
}

/// Lets files grow to `bytes` at most, for as long as it lives. Nothing may be printed meanwhile.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    old_action_ = ::signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, old_action_);
  }

 private:
  struct rlimit before_{};
  void (*old_action_)(int) = SIG_DFL;
};

TEST_F(SessionLog, AnAppendThatDoesNotFitLeavesNothingBehind) {
  SegmentWriter writer = create();
  ASSERT_TRUE(writer.append({kStart}, true));
  std::string whole = content();
  std::string big = line_of(wire::AssistantItem{wire::assistant_message(std::string(1000, 'x'))});
  for (rlim_t room : {0, 1, 20, 500, 1050}) {
    Result<void> failed;
    {
      FileSizeLimit limit(whole.size() + room);
      failed = writer.append({turn_end(1), big}, true);
    }
    ASSERT_FALSE(failed) << room;
    EXPECT_NE(failed.error().message.find(path()), std::string::npos);
    EXPECT_NE(failed.error().message.find("the log is as it was before"), std::string::npos) << failed.error().message;
    EXPECT_EQ(content(), whole) << room;
  }
  ASSERT_TRUE(writer.append({turn_end(1), big}, true));
  EXPECT_EQ(load().lines.size(), 3u);
}

TEST_F(SessionLog, AFullDiskLeavesNothingBehind) {
  ASSERT_TRUE(io::make_directories(sessions_));
  if (::mount("tmpfs", sessions_.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "a small file system can't be mounted here";
  }
  struct Unmount {
    std::string path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{sessions_};

  SegmentWriter writer = create();
  ASSERT_TRUE(writer.append({kStart}, true));
  std::string record = line_of(wire::AssistantItem{wire::assistant_message(std::string(9000, 'x'))});
  Result<void> appended;
  size_t fitted = 0;
  while ((appended = writer.append({record}, true)) && fitted < 100) ++fitted;
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().code, Code::NoSpace) << appended.error().message;
  EXPECT_EQ(load().lines.size(), 1 + fitted);
  EXPECT_EQ(load().torn_bytes, 0u);
  ASSERT_TRUE(writer.truncate(1)) << "frees the space again";
  EXPECT_TRUE(writer.append({record}, true));
}

TEST_F(SessionLog, TruncateKeepsTheFirstRecords) {
  SegmentWriter writer = create();
  ASSERT_TRUE(writer.append({kStart, turn_end(1), turn_end(2), turn_end(3)}, false));
  EXPECT_EQ(writer.truncate(5).error().code, Code::InvalidArgument);
  ASSERT_TRUE(writer.truncate(4));
  EXPECT_EQ(load().lines.size(), 4u);
  ASSERT_TRUE(writer.truncate(2));
  ASSERT_TRUE(writer.append({turn_end(9)}, true));
  EXPECT_EQ(load().lines, (std::vector<std::string>{kStart, turn_end(1), turn_end(9)}));
  ASSERT_TRUE(writer.truncate(0));
  EXPECT_EQ(content(), "");
  EXPECT_FALSE(writer.append({turn_end(1)}, false));
}

TEST_F(SessionLog, TruncateCountsRecordsNotBlankLines) {
  put("\n" + kStart + "\n \t\n" + turn_end(1) + "\n" + turn_end(2) + "\n");
  SegmentWriter writer = open();
  ASSERT_TRUE(writer.truncate(2));
  EXPECT_EQ(load().lines, (std::vector<std::string>{kStart, turn_end(1)}));
}

TEST_F(SessionLog, ListingIsNewestFirstAndIgnoresStrayFiles) {
  std::string a = "0192f0e8-4d84-7d6e-a000-000000000001", b = "0192f0e8-4d84-7d6e-a000-000000000002";
  EXPECT_EQ(*list_sessions(sessions_), std::vector<std::string>{});
  for (auto const& segment : {a, b}) ASSERT_TRUE(SegmentWriter::create(sessions_, {a, segment}));
  ASSERT_TRUE(io::replace_file(sessions_ + "/" + a + "/" + a + ".trace.jsonl", ""));
  ASSERT_TRUE(io::replace_file(sessions_ + "/" + a + "/notes.txt", ""));
  ASSERT_TRUE(io::make_directories(sessions_ + "/" + b));
  ASSERT_TRUE(io::make_directories(sessions_ + "/lost+found"));
  EXPECT_EQ(*list_sessions(sessions_), (std::vector<std::string>{b, a}));
  EXPECT_EQ(*list_segments(sessions_, a), (std::vector<std::string>{b, a}));
  EXPECT_EQ(*list_segments(sessions_, b), std::vector<std::string>{});
  EXPECT_EQ(*find_segment(sessions_, b), (Location{a, b}));
  EXPECT_EQ(*find_segment(sessions_, "0192f0e8-4d84-7d6e-a000-000000000003"), std::nullopt);
  EXPECT_EQ(*find_segment(sessions_, "../x"), std::nullopt);
}

ReplayedState fold(std::vector<wire::LogRecord> records) {
  Replay replay;
  for (auto& record : records) replay.apply({1, std::move(record)});
  return replay.take();
}

TEST(Replay, AWholeTurn) {
  wire::SegmentStart start = start_record();
  start.system_prompt = "You…";
  start.config.max_tokens = 10;
  start.history = {wire::user_message("old")};
  start.inbox = {{"p", 2}};
  start.last_report = 1;
  wire::RequestConfig config;
  config.temperature = 0.5;
  wire::Segments input = {wire::TextSegment{"see "}, wire::FileRefSegment{"a"}};
  wire::ToolCall call{"c", "Read", "{}"};
  wire::ToolResult result{"c", "12 lines", "…", false};
  wire::LlmUsage usage{3, 900, 700, 0, 40};
  wire::Extension first{"metrics", "{}"}, second{"memory.extract", "[]"};
  wire::SystemItem note;
  note.kind = "notification";
  note.body = "[Notification]\nx";

  ReplayedState expected;
  expected.session_id = "session";
  expected.system_prompt = "You…";
  expected.config = config;
  expected.history = {wire::user_message("old"), wire::user_message("see @a"), wire::system_message(note.body), call, result};
  expected.user_segments = {input};
  expected.usage = {usage};
  expected.extensions = {first, second};
  expected.inbox = {{"p", 5}, {"q", 1}};
  expected.last_report = 4;
  expected.turn_count = 2;
  expected.entries = 12;
  expected.run_delegated = true;
  EXPECT_EQ(fold({start, wire::Invoke{"user_send", true}, wire::UserInput{input, wire::MailRef{"p", 5}},
                  wire::SystemItemRecord{note, wire::MailRef{"q", 1}}, wire::AssistantItem{call}, wire::ToolResultRecord{result},
                  wire::TurnEndRecord{2}, first, usage, second, wire::ConfigChanged{config},
                  wire::RunCompleted{false, "finished", 4}}),
            expected);
}

TEST(Replay, TheEndOfARunSetsItsFlags) {
  EXPECT_FALSE(fold({start_record()}).last_run_interrupted);
  EXPECT_TRUE(fold({start_record(), wire::Invoke{"notify", false}}).run_open);
  EXPECT_TRUE(fold({start_record(), wire::Invoke{"notify", false}}).last_run_interrupted);
  ReplayedState paused = fold({start_record(), wire::Invoke{"user_send", true}, wire::RunCompleted{true, "paused", {}}});
  EXPECT_TRUE(paused.last_run_interrupted);
  EXPECT_FALSE(paused.run_open);
  EXPECT_TRUE(paused.run_delegated);
  ReplayedState errored = fold({start_record(), wire::Invoke{"user_send", false}, wire::RunErrored{true, "m", 9}});
  EXPECT_TRUE(errored.last_run_interrupted);
  EXPECT_FALSE(errored.run_open);
  EXPECT_EQ(errored.last_report, 9u);
}

TEST(Replay, ARolledBackRunLeavesOnlyItsMailNumbers) {
  wire::UserInput kept{wire::text_segments("kept"), {}};
  wire::UserInput undone{wire::text_segments("undone"), wire::MailRef{"p", 3}};
  ReplayedState state = fold({start_record(), wire::Invoke{"user_send", false}, kept, wire::RunCompleted{false, "finished", {}},
                              wire::Invoke{"user_send", false}, undone, wire::Invoke{"user_send", true},
                              wire::RunCompleted{false, "rolled_back", {}}});
  EXPECT_EQ(state.history, (std::vector<wire::Item>{wire::user_message("kept")}));
  EXPECT_EQ(state.user_segments.size(), 1u);
  EXPECT_EQ(state.inbox, (std::map<std::string, uint64_t>{{"p", 3}}));
  EXPECT_FALSE(state.last_run_interrupted);
}

TEST(Replay, OnlyAPausedOrUnfinishedRunIsPaused) {
  wire::Invoke invoke{"user_send", false};
  EXPECT_TRUE(fold({start_record(), invoke}).paused);
  EXPECT_TRUE(fold({start_record(), invoke, wire::RunCompleted{true, "paused", {}}}).paused);
  EXPECT_FALSE(fold({start_record(), invoke, wire::RunCompleted{true, "cancelled", {}}}).paused);
  EXPECT_FALSE(fold({start_record(), invoke, wire::RunErrored{true, "m", {}}}).paused);
}

TEST(Replay, MailNumbersNeverGoBack) {
  auto mail = [](uint64_t seq) { return wire::UserInput{wire::text_segments("x"), wire::MailRef{"p", seq}}; };
  EXPECT_EQ(fold({start_record(), mail(3), mail(2)}).inbox, (std::map<std::string, uint64_t>{{"p", 3}}));
}

TEST(Replay, AContinuationStandsWhereTheOldSegmentStood) {
  wire::SegmentStart start = start_record();
  start.system_prompt = "You…";
  ReplayedState old = fold({start, wire::UserInput{wire::text_segments("x"), wire::MailRef{"p", 3}},
                            wire::RunCompleted{false, "finished", 4}});
  ReplayedState fresh = fold({continuation_of(old)});
  EXPECT_EQ(fresh.history, old.history);
  EXPECT_EQ(fresh.inbox, old.inbox);
  EXPECT_EQ(fresh.last_report, old.last_report);
  EXPECT_EQ(fresh.system_prompt, old.system_prompt);
}

TEST(Replay, UntilATurn) {
  std::vector<std::string> lines = {kStart, line_of(wire::UserInput{wire::text_segments("a"), {}}), turn_end(2),
                                    line_of(wire::UserInput{wire::text_segments("b"), {}}), turn_end(4)};
  EXPECT_EQ(replay_until_turn(lines, 0)->entries, 1u);
  EXPECT_EQ(replay_until_turn(lines, 2)->history, (std::vector<wire::Item>{wire::user_message("a")}));
  EXPECT_EQ(replay_until_turn(lines, 3)->entries, 5u) << "no such turn: the whole log";
  EXPECT_FALSE(replay_until_turn({"nonsense"}, 1));
}

}  // namespace
}  // namespace insomnia::session
