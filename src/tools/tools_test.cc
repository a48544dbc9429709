#include <boost/json.hpp>

#include "base/json.hh"
#include "base/text.hh"
#include "tools/hands_protocol.hh"
#include "tools/schema.hh"
#include "tools/task_store.hh"
#include "tools/test_bench.hh"
#include "tools/tool.hh"

namespace insomnia::tools {
namespace {

TEST(ToolTable, NamesInOrder) {
  std::vector<std::string> names;
  for (auto const& definition : builtin_definitions()) names.push_back(definition.name);
  EXPECT_EQ(names, (std::vector<std::string>{"Read", "Write", "Edit", "Glob", "Grep", "Bash", "TaskCreate", "TaskList", "TaskGet", "TaskUpdate"}));
}

TEST(ToolTable, SchemasAreObjectsWithDescribedTools) {
  for (auto const& definition : builtin_definitions()) {
    auto schema = json::parse_object(definition.input_schema);
    ASSERT_TRUE(schema) << definition.name;
    EXPECT_EQ(schema->at("type"), "object");
    EXPECT_TRUE(schema->at("properties").is_object());
    EXPECT_FALSE(definition.description.empty());
    EXPECT_EQ(definition.place, definition.name.starts_with("Task") ? Place::Brain : Place::Hands);
  }
}

TEST(ToolTable, AllDefinitionsTogetherAreSmall) {
  size_t bytes = 0;
  for (auto const& definition : builtin_definitions()) {
    bytes += definition.name.size() + definition.description.size() + definition.input_schema.size();
  }
  EXPECT_LT(bytes, 5000u);
}

TEST(ToolTable, GrepSchemaHasDashKeys) {
  auto schema = json::parse_object(builtin_definitions()[4].input_schema);
  auto const& properties = schema->at("properties").as_object();
  for (auto const* key : {"-n", "-i", "-A", "-B", "-C"}) EXPECT_TRUE(properties.contains(key)) << key;
}

TEST(Schema, RequiredFieldsAndNestedSchemas) {
  EXPECT_EQ(object_schema({{"a", "string", "A thing"}, {"b", "integer", "", false}, {"c", R"({"type":"array"})", "List"}}),
            R"({"type":"object","properties":{"a":{"type":"string","description":"A thing"},"b":{"type":"integer"},)"
            R"("c":{"type":"array","description":"List"}},"required":["a","c"]})");
  EXPECT_EQ(object_schema({}), R"({"type":"object","properties":{}})");
}

TEST(CallHeadline, FirstKnownStringOnOneLine) {
  EXPECT_EQ(call_headline(R"({"pattern":"x","path":"/p"})"), "/p");
  EXPECT_EQ(call_headline(R"({"command":"a\nb"})"), "a b");
  EXPECT_EQ(call_headline(R"({"command":7,"name":"n"})"), "n");
  EXPECT_EQ(call_headline(R"({"other":"x"})"), "");
  EXPECT_EQ(call_headline("not json"), "");
}

TEST(Failed, TextNamesTheKind) {
  EXPECT_EQ(failed({Code::InvalidArgument, "m"}), (Output{"Tool execution failed: Invalid argument: m", std::nullopt, true}));
  EXPECT_EQ(failed({Code::Io, "m"}).summary, "Tool execution failed: Execution failed: m");
  EXPECT_EQ(failed({Code::Internal, "m"}).summary, "Tool execution failed: Internal error: m");
  EXPECT_EQ(failed({Code::Cancelled, "cancelled"}).summary, "Tool execution failed: cancelled");
  EXPECT_EQ(failed({Code::Timeout, "Execution failed: m"}).summary, "Tool execution failed: Execution failed: m");
}

// --- truncation

TEST(LimitOutput, WithinAndAtTheLimitNothingChanges) {
  Output output{"s", std::string(100, 'x'), false};
  EXPECT_EQ(limit_output(output, 101), output);
  EXPECT_EQ(limit_output(output, 100), output);
  EXPECT_EQ(limit_output({"s", std::nullopt, true}, 0), (Output{"s", std::nullopt, true}));
}

TEST(LimitOutput, KeptAndDroppedMakeTheOriginal) {
  Output output = limit_output({"s", std::string(1000, 'x'), false}, 200);
  EXPECT_EQ(output.content, std::string(132, 'x') + "\n\n[truncated: 868 bytes dropped, refine your query]");
  EXPECT_LE(output.content->size(), 200u);
}

TEST(LimitOutput, DoesNotCutACharacter) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "€";
  Output output = limit_output({"s", text, false}, 68 + 10);
  EXPECT_EQ(output.content, "€€€\n\n[truncated: 291 bytes dropped, refine your query]");
}

TEST(LimitOutput, TinyLimitKeepsOnlyTheNote) {
  EXPECT_EQ(limit_output({"s", "0123456789", false}, 5).content, "\n\n[truncated: 10 bytes dropped, refine your query]");
}

TEST(LimitOutput, SummaryIsCutToo) {
  Output output = limit_output({std::string(5000, 'x'), std::nullopt, true}, 100);
  EXPECT_EQ(output.summary.size(), 4096u);
  EXPECT_TRUE(output.summary.ends_with("…"));
}

// --- tasks

TEST(TaskStore, CreateListGetUpdate) {
  TaskStore store;
  Output created = store.execute("TaskCreate", R"({"subject":"Build","description":"line one\nline two"})");
  EXPECT_EQ(created.summary, "Created task 1 (pending)\nTaskStore: 1 task(s) (pending: 1, inprogress: 0, completed: 0, deleted: 0)");
  auto content = json::parse_object(*created.content);
  ASSERT_TRUE(content);
  EXPECT_EQ(content->at("task").at("description"), "line one\nline two");
  EXPECT_EQ(content->at("snapshot").at("tasks").as_array().size(), 1u);
  Output updated = store.execute("TaskUpdate", R"({"taskid":1,"status":"inprogress"})");
  EXPECT_TRUE(updated.summary.starts_with("Updated task 1 (inprogress)\n"));
  EXPECT_EQ(store.execute("TaskGet", R"({"taskid":1})").summary, "Task 1 (inprogress) Build");
  Output list = store.execute("TaskList", "{}");
  EXPECT_EQ(list.summary, store.overview());
  EXPECT_HAS(*list.content, R"("subject": "Build")");
}

TEST(TaskStore, DeleteIsLogicalAndIdsAreNotReused) {
  TaskStore store;
  store.execute("TaskCreate", R"({"subject":"a","description":""})");
  store.execute("TaskUpdate", R"({"taskid":1,"status":"deleted"})");
  store.execute("TaskCreate", R"({"subject":"b","description":""})");
  EXPECT_EQ(store.tasks()[1].taskid, 2u);
  EXPECT_EQ(store.overview(), "TaskStore: 2 task(s) (pending: 1, inprogress: 0, completed: 0, deleted: 1)");
}

TEST(TaskStore, RefusesWhatIsWrongAndChangesNothing) {
  TaskStore store;
  store.execute("TaskCreate", R"({"subject":"a","description":""})");
  auto before = store.tasks();
  EXPECT_HAS(store.execute("TaskUpdate", R"({"taskid":1})").summary, "at least one of status, subject, description is required");
  Output unknown = store.execute("TaskUpdate", R"({"taskid":9,"status":"completed"})");
  EXPECT_EQ(unknown.summary, "Tool execution failed: Execution failed: taskid 9 not found");
  EXPECT_TRUE(unknown.is_error);
  EXPECT_HAS(store.execute("TaskUpdate", R"({"taskid":1,"status":"done"})").summary, "must be one of pending");
  EXPECT_HAS(store.execute("TaskCreate", R"({"subject":" ","description":""})").summary, "subject: must not be empty");
  EXPECT_HAS(store.execute("TaskCreate", "[]").summary, "invalid TaskCreate input");
  EXPECT_HAS(store.execute("TaskDrop", "{}").summary, "unknown tool");
  EXPECT_EQ(store.tasks(), before);
}

TEST(TaskStore, ReplayOfSucceededCallsGivesTheSameIds) {
  std::vector<std::pair<std::string, std::string>> calls = {{"TaskCreate", R"({"subject":"","description":""})"},
                                                            {"TaskCreate", R"({"subject":"a","description":"d"})"},
                                                            {"TaskUpdate", R"({"taskid":7,"status":"completed"})"},
                                                            {"TaskCreate", R"({"subject":"b","description":"d"})"},
                                                            {"TaskUpdate", R"({"taskid":2,"status":"completed"})"}};
  TaskStore first;
  TaskStore replayed;
  for (auto const& [tool, arguments] : calls) {
    if (!first.execute(tool, arguments).is_error) replayed.execute(tool, arguments);
  }
  EXPECT_EQ(first.tasks(), replayed.tasks());
  EXPECT_EQ(first.tasks().back(), (Task{2, TaskStatus::Completed, "b", "d"}));
}

TEST(TaskStore, SnapshotReplacesAndContinues) {
  TaskStore store;
  store.execute("TaskCreate", R"({"subject":"multi\nline","description":"ü"})");
  store.execute("TaskUpdate", R"({"taskid":1,"status":"completed"})");
  TaskStore other;
  other.execute("TaskCreate", R"({"subject":"gone","description":""})");
  ASSERT_TRUE(other.restore(store.snapshot()));
  EXPECT_EQ(other.tasks(), store.tasks());
  other.execute("TaskCreate", R"({"subject":"next","description":""})");
  EXPECT_EQ(other.tasks().back().taskid, 2u);
  auto before = other.tasks();
  EXPECT_FALSE(other.restore(R"({"tasks":[{"taskid":2,"status":"pending","subject":"a","description":""},{"taskid":2,"status":"pending","subject":"b","description":""}]})"));
  EXPECT_FALSE(other.restore("nonsense"));
  EXPECT_EQ(other.tasks(), before);
}

// --- protocol

TEST(HandsProtocol, CommandsSurviveTheWire) {
  scope::ScopeConfig scope{{{"/w", scope::Permission::Write, true}}, {{"/w/.git", scope::Permission::Read, false}}};
  HandsStart start{.cwd = "/w", .spill_dir = "/s", .environment = {{"PATH", "/bin"}, {"Ü", "a\nb"}}, .scope = scope,
                   .observed = {{"/w/a", "00ff", true}, {"/w/b", "stat:1:2.3:4", false}}, .read_bytes = 5, .marker = "m"};
  for (HandsCommand const& command : {HandsCommand{start}, HandsCommand{ToolRequest{7, "Read", R"({"file_path":"/w/\"x"})"}},
                                      HandsCommand{CancelTool{UINT64_MAX}}, HandsCommand{SetScope{3, scope}}}) {
    std::string line = encode_command(command);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    auto decoded = decode_command(line);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, command);
  }
}

TEST(HandsProtocol, EventsSurviveTheWire) {
  for (HandsEvent const& event :
       {HandsEvent{HandsReady{}}, HandsEvent{ToolFinished{9, {"s\n", "c€", true}, {{"/a", "ff", false}}}},
        HandsEvent{ToolFinished{1, {"s", std::nullopt, false}, {}}}, HandsEvent{ToolFinished{2, {"s", "", false}, {}}}, HandsEvent{ScopeSet{4}}}) {
    auto decoded = decode_hands_event(encode_hands_event(event));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, event);
  }
}

TEST(HandsProtocol, WrongLinesAreErrorsThatNameTheField) {
  for (auto const* line : {"", "[]", "{}", R"({"command":"dance"})", R"({"command":"call","id":1})", R"({"command":"call","id":-1,"tool":"a","arguments":""})",
                           R"({"command":"set_scope","id":1,"scope":{"allow":[1],"deny":[]}})",
                           R"({"command":"set_scope","id":1,"scope":{"allow":[{"target":"/","permission":"all"}],"deny":[]}})",
                           R"({"command":"start","cwd":"/","spill_dir":"/","environment":{"A":1},"scope":{"allow":[],"deny":[]}})"}) {
    EXPECT_FALSE(decode_command(line)) << line;
  }
  EXPECT_HAS(decode_command(R"({"command":"call","id":1,"tool":"Read"})").error().message, "arguments: is missing");
  EXPECT_FALSE(decode_hands_event(R"({"event":"finished","id":1})"));
}

TEST(HandsProtocol, BytesThatAreNotUtf8DoNotBreakTheLine) {
  auto decoded = decode_command(encode_command(ToolRequest{1, "Read", "\xff"}));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<ToolRequest>(*decoded).arguments, "\uFFFD");
}

}  // namespace
}  // namespace insomnia::tools
