#include <gtest/gtest.h>

#include "base/text.hh"
#include "wire/event.hh"
#include "wire/json_text.hh"
#include "wire/json_writer.hh"
#include "wire/line_reader.hh"
#include "wire/log_entry.hh"
#include "wire/method.hh"

namespace insomnia::wire {
namespace {

std::string event_text(EventBody body) { return encode_event({.body = std::move(body), .seq = {}, .id = {}}); }

template <class T>
T event_as(std::string_view line) {
  auto event = decode_event(line);
  EXPECT_TRUE(event) << line << "\n" << (event ? "" : event.error().message);
  if (!event || !std::holds_alternative<T>(event->body)) {
    ADD_FAILURE() << "another kind than expected: " << line;
    return {};
  }
  return std::get<T>(event->body);
}

TEST(Method, UnitMethodsTakeNullAndForeignParams) {
  EXPECT_EQ(decode_method(R"({"method":"pause","params":null})")->body, MethodBody(PauseMethod{}));
  EXPECT_EQ(decode_method(R"({"params":{"x":1},"method":"pause"})")->body, MethodBody(PauseMethod{}));
  EXPECT_EQ(decode_method(R"({"method":"shutdown","params":null,"id":null})")->body, MethodBody(ShutdownMethod{}));
}

TEST(Method, UnknownSegmentKindBecomesUnknown) {
  auto method = decode_method(R"({"method":"run","params":{"input":[{"kind":"hologram","x":1},{"kind":"text","content":"a"}]}})");
  ASSERT_TRUE(method);
  EXPECT_EQ(method->body, MethodBody(RunMethod{{UnknownSegment{}, TextSegment{"a"}}}));
}

TEST(Method, RefusalsSayWhatIsWrong) {
  struct Case {
    std::string line, fragment;
  };
  std::string long_id(kMaxRequestId + 1, 'x');
  for (auto const& [line, fragment] : std::vector<Case>{
           {"", "invalid JSON"},
           {"nonsense", "invalid JSON"},
           {"[]", "an object is wanted"},
           {"{}", "method: is missing"},
           {R"({"method":7})", "method: must be a string"},
           {R"({"method":"fly"})", "there is no method `fly`"},
           {R"({"method":"run"})", "params.input: is missing"},
           {R"({"method":"run","params":[]})", "params: must be an object"},
           {R"({"method":"run","params":{"input":"hi"}})", "params.input: must be a list"},
           {R"({"method":"run","params":{"input":["hi"]}})", "params.input: must be a list of objects"},
           {R"({"method":"run","params":{"input":[{"kind":"text"}]}})", "params.input.content: is missing"},
           {R"({"method":"run","params":{"input":[{"content":"x"}]}})", "params.input.kind: is missing"},
           {R"({"method":"run","params":{"input":[{"kind":"paste","id":4294967296,"chars":1,"lines":1,"content":""}]}})",
            "params.input.id: is too large"},
           {R"({"method":"notify","params":{"message":null}})", "params.message: is missing"},
           {R"({"method":"pod_event","params":{"kind":"errored","pod_name":"k"}})", "params.message: is missing"},
           {R"({"method":"pod_event","params":{"kind":"scope_sub_delegated","parent_pod":"a","sub_pod":"b","sub_socket":"c","scope":[{"target":"/","permission":"rw"}]}})",
            "permission: must be"},
           {R"({"method":"rewind_to","params":{"target":{"segment_id":"s","user_input_entry_index":-1},"expected_head_entries":1}})",
            "params.target.user_input_entry_index: must be a non-negative integer"},
           {R"({"method":"rewind_to","params":{"expected_head_entries":1}})", "params.target: is missing"},
           {R"({"method":"list_completions","params":{"kind":"verse","prefix":""}})", "params.kind: must be"},
           {R"({"method":"restore_pod"})", "params.name: is missing"},
           {R"({"method":"shutdown","params":{"tree":1}})", "params.tree: must be true or false"},
           {R"({"method":"pause","id":7})", "id: must be a string"},
           {R"({"method":"pause","id":")" + long_id + "\"}", "id: must not be longer"},
           {"{\"method\":\"notify\",\"params\":{\"message\":\"\xff\"}}", "invalid JSON"},
           {"{\"method\":\"" + std::string(5000, 'x') + "\"}", "there is no method"},
           {std::string(300, '[') , "invalid JSON"},
       }) {
    auto method = decode_method(line);
    ASSERT_FALSE(method) << line;
    EXPECT_EQ(method.error().code, Code::InvalidArgument);
    EXPECT_TRUE(method.error().message.starts_with("invalid method: ")) << method.error().message;
    EXPECT_NE(method.error().message.find(fragment), std::string::npos) << method.error().message;
    EXPECT_LT(method.error().message.size(), 300u);
  }
}

// Case 25.
TEST(Method, ScopeRuleIsRecursiveUnlessItSaysOtherwise) {
  auto event = decode_pod_event(
      R"({"kind":"scope_sub_delegated","parent_pod":"a","sub_pod":"b","sub_socket":"c","scope":[{"target":"/w","permission":"read"}]})");
  ASSERT_TRUE(event);
  EXPECT_EQ(std::get<ScopeSubDelegated>(*event).scope, (std::vector<scope::ScopeRule>{{"/w", scope::Permission::Read, true}}));
}

TEST(Segments, FlattenConcatenatesWithoutSeparators) {
  Segments segments = {TextSegment{"see "},         PasteSegment{1, 11, 2, "line1\nline2"}, FileRefSegment{"src/main.rs"},
                       KnowledgeRefSegment{"kn"},   WorkflowInvokeSegment{"rel"},           UnknownSegment{}};
  EXPECT_EQ(flatten(segments), "see line1\nline2@src/main.rs#kn/rel[unknown input segment]");
  EXPECT_EQ(flatten(text_segments("x")), "x");
}

// Case 120.
TEST(PodEvents, OnlyNewsOfGrandchildrenAndUnknownKindsAreHiddenFromTheModel) {
  EXPECT_TRUE(is_agent_visible(TurnEnded{"k", {}, 0}));
  EXPECT_TRUE(is_agent_visible(Errored{"k", "m", {}}));
  EXPECT_TRUE(is_agent_visible(ShutDown{"k", {}}));
  EXPECT_TRUE(is_agent_visible(LimitReachedEvent{"k", {}}));
  EXPECT_TRUE(is_agent_visible(Interrupted{"k", {}, true}));
  EXPECT_TRUE(is_agent_visible(Crashed{"k", "exit code 1", {}}));
  EXPECT_FALSE(is_agent_visible(ScopeSubDelegated{"k", "g", "s", {}}));
  EXPECT_FALSE(is_agent_visible(ScopeReturned{"k", "g", {}}));
  EXPECT_FALSE(is_agent_visible(UnknownPodEvent{"x"}));
}

// Case 113.
TEST(PodEvents, RenderedLinesNameTheirPods) {
  EXPECT_EQ(render_pod_event(TurnEnded{"kid", {}, 0}), "pod `kid` finished a turn");
  EXPECT_EQ(render_pod_event(TurnEnded{"kid", "42", 0}), "pod `kid` finished a turn\n\n42");
  EXPECT_EQ(render_pod_event(TurnEnded{"kid", {}, 2}),
            "pod `kid` finished a turn (2 pods of its own are still at work; another report follows)");
  EXPECT_EQ(render_pod_event(Errored{"kid", "no key", {}}), "pod `kid` errored: no key");
  EXPECT_EQ(render_pod_event(ShutDown{"kid", "bye"}), "pod `kid` shut down\n\nbye");
  EXPECT_EQ(render_pod_event(ScopeSubDelegated{"kid", "grandkid", "/s", {}}), "pod `kid` sub-delegated scope to `grandkid`");
  EXPECT_EQ(render_pod_event(ScopeReturned{"kid", "grandkid", {}}), "pod `kid` has back the scope of `grandkid`");
  EXPECT_EQ(render_pod_event(LimitReachedEvent{"kid", {}}), "pod `kid` stopped at its turn limit before it was done");
  EXPECT_EQ(render_pod_event(Interrupted{"kid", {}, true}), "pod `kid` was paused by a person and can be resumed");
  EXPECT_EQ(render_pod_event(Interrupted{"kid", {}, false}), "pod `kid` was cancelled by a person");
  EXPECT_EQ(render_pod_event(Crashed{"kid", "exit code 1", "boom\n"}),
            "pod `kid` crashed: exit code 1\n\nThe end of its stderr:\nboom\n");
  EXPECT_EQ(render_pod_event(Crashed{"kid", "exit code 1", " \n"}), "pod `kid` crashed: exit code 1");
}

TEST(PodEvents, ALongAnswerIsCutBetweenCharactersWithANote) {
  std::string answer = "x";
  for (int i = 0; i < 10'000; ++i) answer += "ä";
  std::string text = render_pod_event(TurnEnded{"kid", answer, 0});
  EXPECT_TRUE(text::is_utf8(text));
  EXPECT_LT(text.size(), 17'000u);
  EXPECT_TRUE(text.ends_with("[cut after 16 KiB of 20001 bytes; ReadPodOutput has the rest]")) << text.substr(text.size() - 100);
}

TEST(PodEvents, PodNameOfEachKind) {
  EXPECT_EQ(pod_name_of(Crashed{"kid", "", {}}), "kid");
  EXPECT_EQ(pod_name_of(ScopeSubDelegated{"kid", "grandkid", "/s", {}}), "kid");
  EXPECT_EQ(pod_name_of(ScopeReturned{"kid", "grandkid", {}}), "kid");
  EXPECT_EQ(pod_name_of(UnknownPodEvent{"x"}), "");
}

TEST(PodEvents, UnknownKindIsKept) {
  EXPECT_EQ(*decode_pod_event(R"({"kind":"sang","pod_name":"kid"})"), PodEvent(UnknownPodEvent{"sang"}));
  EXPECT_FALSE(decode_pod_event(R"({"pod_name":"kid"})"));
  EXPECT_FALSE(decode_pod_event(R"({"kind":"turn_ended"})"));
}

TEST(Event, UnknownEventIsNoError) {
  auto event = decode_event(R"({"event":"memory_worker","data":{"worker":"x"},"seq":3})");
  ASSERT_TRUE(event);
  EXPECT_EQ(*event, (Event{UnknownEvent{"memory_worker"}, 3, {}}));
  EXPECT_EQ(event_name(event->body), "memory_worker");
  EXPECT_FALSE(decode_event(R"({"event":"memory_worker","data":{]})"));
}

TEST(Event, OldShapesGetDefaults) {
  auto snapshot = event_as<SnapshotEvent>(
      R"({"event":"snapshot","data":{"entries":[],"greeting":{"pod_name":"m","cwd":"/","provider":"p","model":"m","scope_summary":"","tools":[]}}})");
  EXPECT_EQ(snapshot.status, PodStatus::Idle);
  EXPECT_EQ(snapshot.greeting.context_window, 0u);
  EXPECT_EQ(snapshot.greeting.context_tokens, 0u);
  EXPECT_FALSE(snapshot.in_flight);
  EXPECT_FALSE(snapshot.settled);
  EXPECT_FALSE(event_as<ToolResultEvent>(R"({"event":"tool_result","data":{"id":"c","summary":"s"}})").is_error);
  auto completions = event_as<CompletionsEvent>(R"({"event":"completions","data":{"kind":"file","entries":[{"value":"a"}]}})");
  EXPECT_EQ(completions.entries, (std::vector<CompletionEntry>{{"a", false}}));
}

TEST(Event, SnapshotEntriesKeepTheirTextWhateverTheyAre) {
  auto snapshot = event_as<SnapshotEvent>(
      R"({"event":"snapshot","data":{"status":"idle","entries":[ {"kind":"new","x":[1.0,{"]":"\"}"}]} , {"kind":"b"}],"greeting":{"pod_name":"m"}}})");
  EXPECT_EQ(snapshot.entries, (std::vector<std::string>{R"({"kind":"new","x":[1.0,{"]":"\"}"}]})", R"({"kind":"b"})"}));
}

TEST(Event, MalformedEventsAreRefused) {
  for (std::string line : {R"({"event":"status","data":{"status":"dreaming"}})", R"({"event":"status"})", R"({"data":{}})",
                           R"({"event":"text_delta","data":{"text":7}})", R"({"event":"text_delta","data":[]})",
                           R"({"event":"snapshot","data":{"entries":{},"greeting":{"pod_name":"m"}}})",
                           R"({"event":"snapshot","data":{"entries":[tru],"greeting":{"pod_name":"m"}}})",
                           R"({"event":"snapshot","data":{"entries":[{]],"greeting":{"pod_name":"m"}}})",
                           R"({"event":"snapshot","data":{"entries":[],"greeting":{}}})", R"({"event":"system_item","data":{}})",
                           R"({"event":"shutdown","seq":-1})", R"({"event":"shutdown"} x)", R"({"event":"shutdown",})"}) {
    auto event = decode_event(line);
    ASSERT_FALSE(event) << line;
    EXPECT_TRUE(event.error().message.starts_with("invalid event: ")) << event.error().message;
  }
}

TEST(Event, OfMembersWithOneKeyTheLastCounts) {
  EXPECT_EQ(event_as<TextDeltaEvent>(R"({"event":"text_done","data":{"text":"a"},"event":"text_delta","data":{"text":"b","te\u0078t":"c"}})").text,
            "c");
}

TEST(Encoding, TextThatIsNotUtf8BecomesValidJson) {
  std::string text = "a\xff\xc3(\xed\xa0\x80" "b";
  std::string line = event_text(TextDeltaEvent{text});
  EXPECT_TRUE(text::is_utf8(line));
  EXPECT_EQ(event_as<TextDeltaEvent>(line).text, text::to_utf8(text));

  std::string entry = encode_log_entry({1, AssistantItem{ToolCall{text, text, text}}});
  EXPECT_TRUE(decode_log_entry(entry)) << entry;
  EXPECT_TRUE(decode_method(encode_method({NotifyMethod{text}, text})));
}

TEST(Encoding, ControlCharactersAreEscaped) {
  std::string all;
  for (int c = 0; c < 0x20; ++c) all += static_cast<char>(c);
  std::string out;
  append_json_string(out, all + "\"\\/\x7f");
  EXPECT_EQ(out,
            R"("\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f\"\\/)"
            "\x7f\"");
  EXPECT_EQ(event_as<TextDeltaEvent>(event_text(TextDeltaEvent{all})).text, all);
}

TEST(Encoding, TextsThatAreNoJsonAreKeptAsStrings) {
  EXPECT_EQ(encode_log_entry({1, Extension{"d", "{broken"}}),
            R"({"kind":"extension","ts":1,"domain":"d","payload":"{broken"})");
  EXPECT_EQ(encode_log_entry({1, Extension{"d", "{\n \"a\": 1\n}"}}),
            R"({"kind":"extension","ts":1,"domain":"d","payload":{ "a": 1}})");
  EXPECT_EQ(event_text(PodsListedEvent{""}), R"({"event":"pods_listed","data":{"pods":[]}})");
}

TEST(Encoding, NumbersAreShortAndSayThatTheyAreNotIntegers) {
  auto text = [](double value) {
    std::string out;
    append_json_number(out, value);
    return out;
  };
  EXPECT_EQ(text(0.7), "0.7");
  EXPECT_EQ(text(1), "1.0");
  EXPECT_EQ(text(-0.0), "-0.0");
  EXPECT_EQ(text(1e300), "1e+300");
  EXPECT_EQ(text(std::numeric_limits<double>::infinity()), "null");
}

TEST(LogEntry, OldRecordsLackTheNewerFields) {
  auto start = decode_log_entry(R"({"kind":"segment_start","ts":1,"session_id":"s","config":{"stop_sequences":[]},"history":[]})");
  ASSERT_TRUE(start) << start.error().message;
  SegmentStart expected;
  expected.session_id = "s";
  EXPECT_EQ(*start, (LogEntry{1, expected}));
  EXPECT_EQ(*decode_log_entry(R"({"kind":"assistant_item","ts":5,"item":{"kind":"reasoning","text":"t","summary":null}})"),
            (LogEntry{5, AssistantItem{Reasoning{"t", {}, {}, {}}}}));
  EXPECT_EQ(*decode_log_entry(R"({"kind":"assistant_item","ts":5,"item":{"kind":"tool_result","call_id":"c","summary":"s","content":null}})"),
            (LogEntry{5, AssistantItem{ToolResult{"c", "s", {}, false}}}));
  EXPECT_EQ(decode_system_item(R"({"kind":"task_reminder","body":"b"})")->source, "task_inactivity");
}

TEST(LogEntry, UnknownKindsAreKeptApart) {
  EXPECT_EQ(*decode_log_entry(R"({"kind":"dream","ts":9,"of":{"sheep":true}})"), (LogEntry{9, UnknownEntry{"dream"}}));
  EXPECT_EQ(*decode_log_entry(R"({"kind":"assistant_item","ts":9,"item":{"kind":"image","url":"x"}})"),
            (LogEntry{9, UnknownEntry{"assistant_item.image"}}));
  auto start = decode_log_entry(
      R"({"kind":"segment_start","ts":1,"session_id":"s","config":{"stop_sequences":[]},"history":[{"kind":"image"},{"kind":"message","role":"user","content":[{"kind":"image"},{"kind":"text","text":"a"}]}]})");
  ASSERT_TRUE(start);
  EXPECT_EQ(std::get<SegmentStart>(start->record).history, (std::vector<Item>{user_message("a")}));
}

TEST(LogEntry, MalformedRecordsAreRefused) {
  for (std::string line :
       {R"({"ts":1})", R"({"kind":"invoke","ts":1})", R"({"kind":"invoke","ts":"x","trigger":"t"})",
        R"({"kind":"segment_start","ts":1,"session_id":"s","config":{},"history":[]})",
        R"({"kind":"segment_start","ts":1,"session_id":"s","config":{"stop_sequences":[],"reasoning":[]},"history":[]})",
        R"({"kind":"segment_start","ts":1,"session_id":"s","config":{"stop_sequences":[],"max_tokens":4294967296},"history":[]})",
        R"({"kind":"segment_start","ts":1,"session_id":"s","config":{"stop_sequences":[]},"history":[7]})",
        R"({"kind":"segment_start","ts":1,"session_id":"s","config":{"stop_sequences":[]},"history":[],"inbox":{"a":-1}})",
        R"({"kind":"tool_result","ts":6,"item":{"kind":"reasoning","text":"t"}})",
        R"({"kind":"assistant_item","ts":6,"item":{"kind":"message","role":"dog","content":[]}})",
        R"({"kind":"extension","ts":9,"domain":"x","payload":{]})", R"({"kind":"system_item","ts":4,"item":{"kind":"x"}})"}) {
    EXPECT_FALSE(decode_log_entry(line)) << line;
  }
}

TEST(Item, ArgumentsAreAnObjectAlways) {
  EXPECT_EQ(normalize_arguments(R"({"a":1})"), R"({"a":1})");
  EXPECT_EQ(normalize_arguments(" {} "), " {} ");
  for (std::string_view bad : {"", "null", "[]", "7", "\"x\"", "{", "{\"a\":}", "{\"a\":\"\xff\"}"}) {
    EXPECT_EQ(normalize_arguments(bad), "{}") << bad;
  }
}

TEST(Item, TextOfMessagesAndResults) {
  EXPECT_EQ(message_text({Role::User, {{"a", false}, {"b", true}}}), "ab");
  EXPECT_EQ(result_text({"c", "sum", {}, false}), "sum");
  EXPECT_EQ(result_text({"c", "sum", "body", false}), "sum\nbody");
  EXPECT_EQ(decode_item(R"({"kind":"image"})").error().code, Code::Unsupported);
}

TEST(LineReader, TakesLinesHoweverTheyArrive) {
  std::string stream = "one\n  two \r\n\n \t\nthree\nrest";
  for (size_t step = 1; step <= stream.size(); ++step) {
    LineReader reader(16);
    std::vector<std::string> lines;
    for (size_t at = 0; at < stream.size(); at += step) {
      reader.feed(std::string_view(stream).substr(at, step));
      for (;;) {
        auto line = reader.next();
        ASSERT_TRUE(line);
        if (!*line) break;
        lines.push_back(**line);
      }
    }
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "three"})) << step;
    EXPECT_EQ(reader.pending(), 4u);
  }
}

TEST(LineReader, ManyLinesMayWaitButNoneMayBeTooLong) {
  LineReader reader(8);
  for (int i = 0; i < 1000; ++i) reader.feed("12345678\n");
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(**reader.next(), "12345678");
  EXPECT_FALSE(*reader.next());
  reader.feed("123456789");
  EXPECT_EQ(reader.next().error().code, Code::LimitReached);
  EXPECT_EQ(reader.pending(), 0u);
  reader.feed("\nfine\n");
  EXPECT_EQ(reader.next().error().code, Code::LimitReached) << "it stays failed";
}

TEST(LineReader, ALineThatIsTooLongFailsWithItsNewlineToo) {
  LineReader reader(4);
  reader.feed("ok\n12345\n");
  EXPECT_EQ(**reader.next(), "ok");
  EXPECT_FALSE(reader.next());
}

}  // namespace
}  // namespace insomnia::wire
