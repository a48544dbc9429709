#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/tool.hh"

namespace insomnia::tools {

enum class TaskStatus { Pending, InProgress, Completed, Deleted };

struct Task {
  uint64_t taskid = 0;
  TaskStatus status = TaskStatus::Pending;
  std::string subject;
  std::string description;
  friend bool operator==(Task const&, Task const&) = default;
};

/// The Pod's task list and its four tools. Pure. Rebuilt on restart by replaying the calls that succeeded.
class TaskStore {
 public:
  /// Runs TaskCreate, TaskList, TaskGet or TaskUpdate.
  Output execute(std::string_view tool, std::string_view arguments_json);
  /// "TaskStore: N task(s) (pending: a, inprogress: b, completed: c, deleted: d)"
  std::string overview() const;
  std::vector<Task> const& tasks() const { return tasks_; }

  /// All tasks as JSON, {"tasks":[…]}: what a new segment starts from when the calls themselves are no longer in the log.
  std::string snapshot() const;
  /// Replaces the list by a snapshot; ids go on after the highest one. An error changes nothing.
  Result<void> restore(std::string_view snapshot);

 private:
  std::vector<Task> tasks_;
};

}  // namespace insomnia::tools
