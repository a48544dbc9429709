#include "tools/task_store.hh"

#include <algorithm>
#include <array>

#include "base/text.hh"
#include "tools/input.hh"

namespace insomnia::tools {
namespace {

namespace bj = boost::json;

constexpr size_t kMaxTasks = 10'000;
constexpr std::array<std::string_view, 4> kStatusNames = {"pending", "inprogress", "completed", "deleted"};

std::string status_name(TaskStatus status) { return std::string(kStatusNames[static_cast<size_t>(status)]); }

std::optional<TaskStatus> take_status(json::Reader& reader) {
  auto name = reader.optional_string("status");
  if (!name) return std::nullopt;
  for (size_t i = 0; i < kStatusNames.size(); ++i) {
    if (kStatusNames[i] == *name) return static_cast<TaskStatus>(i);
  }
  reader.reject("status", "must be one of pending, inprogress, completed, deleted");
  return std::nullopt;
}

struct CreateInput {
  std::string subject;
  std::string description;
};
struct GetInput {
  uint64_t taskid = 0;
};
struct UpdateInput {
  uint64_t taskid = 0;
  std::optional<TaskStatus> status;
  std::optional<std::string> subject;
  std::optional<std::string> description;
};
struct ListInput {};

bj::object encode_task(Task const& task) {
  return {{"taskid", task.taskid}, {"status", status_name(task.status)}, {"subject", task.subject}, {"description", task.description}};
}

bj::object encode_tasks(std::vector<Task> const& tasks) {
  bj::array list;
  for (auto const& task : tasks) list.push_back(encode_task(task));
  return {{"tasks", std::move(list)}};
}

/// Where the task is, or an error that names it.
template <class Tasks>
Result<decltype(std::declval<Tasks&>().data())> find_task(Tasks& tasks, uint64_t id) {
  auto it = std::find_if(tasks.begin(), tasks.end(), [&](Task const& task) { return task.taskid == id; });
  if (it == tasks.end()) return fail(Code::NotFound, "taskid " + std::to_string(id) + " not found");
  return &*it;
}

std::string title(std::string_view done, Task const& task) {
  return std::string(done) + " task " + std::to_string(task.taskid) + " (" + status_name(task.status) + ")\n";
}

Output changed(std::string_view done, Task const& task, TaskStore const& store) {
  bj::object content{{"task", encode_task(task)}, {"snapshot", encode_tasks(store.tasks())}};
  return {title(done, task) + store.overview(), json::dump_pretty(content)};
}

Result<Output> create(std::vector<Task>& tasks, TaskStore const& store, std::string_view arguments) {
  auto input = TRY(parse_input<CreateInput>("TaskCreate", arguments, [](json::Reader& reader, CreateInput& input) {
    input.subject = reader.string("subject");
    input.description = reader.string("description");
    if (reader.ok() && text::trim(input.subject).empty()) reader.reject("subject", "must not be empty");
  }));
  if (tasks.size() >= kMaxTasks) return fail(Code::LimitReached, "the task list is full (" + std::to_string(kMaxTasks) + " tasks)");
  uint64_t id = tasks.empty() ? 1 : tasks.back().taskid + 1;
  tasks.push_back({id, TaskStatus::Pending, std::move(input.subject), std::move(input.description)});
  return changed("Created", tasks.back(), store);
}

Result<Output> update(std::vector<Task>& tasks, TaskStore const& store, std::string_view arguments) {
  auto input = TRY(parse_input<UpdateInput>("TaskUpdate", arguments, [](json::Reader& reader, UpdateInput& input) {
    input.taskid = reader.uint("taskid");
    input.status = take_status(reader);
    input.subject = reader.optional_string("subject");
    input.description = reader.optional_string("description");
    if (reader.ok() && input.subject && text::trim(*input.subject).empty()) reader.reject("subject", "must not be empty");
  }));
  if (!input.status && !input.subject && !input.description) {
    return fail(Code::InvalidArgument, "at least one of status, subject, description is required");
  }
  Task* task = TRY(find_task(tasks, input.taskid));
  if (input.status) task->status = *input.status;
  if (input.subject) task->subject = *std::move(input.subject);
  if (input.description) task->description = *std::move(input.description);
  return changed("Updated", *task, store);
}

Result<Output> get(std::vector<Task> const& tasks, std::string_view arguments) {
  auto input = TRY(parse_input<GetInput>("TaskGet", arguments,
                                         [](json::Reader& reader, GetInput& input) { input.taskid = reader.uint("taskid"); }));
  Task const* task = TRY(find_task(tasks, input.taskid));
  return Output{"Task " + std::to_string(task->taskid) + " (" + status_name(task->status) + ") " + text::one_line(task->subject, 200),
                json::dump_pretty(encode_task(*task))};
}

Result<Output> list(TaskStore const& store, std::string_view arguments) {
  TRY(parse_input<ListInput>("TaskList", arguments, [](json::Reader&, ListInput&) {}));
  return Output{store.overview(), json::dump_pretty(encode_tasks(store.tasks()))};
}

}  // namespace

Output TaskStore::execute(std::string_view tool, std::string_view arguments_json) {
  auto result = [&]() -> Result<Output> {
    if (tool == "TaskCreate") return create(tasks_, *this, arguments_json);
    if (tool == "TaskList") return list(*this, arguments_json);
    if (tool == "TaskGet") return get(tasks_, arguments_json);
    if (tool == "TaskUpdate") return update(tasks_, *this, arguments_json);
    return fail(Code::NotFound, "unknown tool: " + std::string(tool));
  }();
  return result ? *std::move(result) : failed(result.error());
}

std::string TaskStore::overview() const {
  std::array<size_t, kStatusNames.size()> counts{};
  for (auto const& task : tasks_) ++counts[static_cast<size_t>(task.status)];
  std::string result = "TaskStore: " + std::to_string(tasks_.size()) + " task(s) (";
  for (size_t i = 0; i < counts.size(); ++i) {
    result += (i == 0 ? "" : ", ") + std::string(kStatusNames[i]) + ": " + std::to_string(counts[i]);
  }
  return result + ")";
}

std::string TaskStore::snapshot() const { return json::dump(encode_tasks(tasks_)); }

Result<void> TaskStore::restore(std::string_view snapshot) {
  bj::object object = TRY(json::parse_object(snapshot));
  json::Reader reader(object, "task snapshot");
  std::vector<Task> tasks;
  if (auto const* members = reader.require_array("tasks")) {
    for (auto const& member : *members) {
      if (!member.is_object()) return fail(Code::InvalidArgument, "task snapshot: tasks must be a list of objects");
      json::Reader one(member.as_object(), "task snapshot.tasks");
      Task task;
      task.taskid = one.uint("taskid");
      task.status = take_status(one).value_or(TaskStatus::Pending);
      task.subject = one.string("subject");
      task.description = one.string("description");
      // Ascending, so that the next id is the last one and one.
      if (!tasks.empty() && one.ok() && task.taskid <= tasks.back().taskid) one.reject("taskid", "must ascend");
      TRY(one.finish());
      tasks.push_back(std::move(task));
    }
  }
  TRY(reader.finish());
  tasks_ = std::move(tasks);
  return {};
}

}  // namespace insomnia::tools
