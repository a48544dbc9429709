// The script of `insomnia demo` against a stage that plays its tools.

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <map>

#include "base/json.hh"
#include "base/resource.hh"
#include "base/text.hh"
#include "profile/rehearsal_host.hh"

namespace insomnia::profile {
namespace {

namespace bj = boost::json;

constexpr std::string_view kRoot = "/tmp/it's here/tally";

struct ToolAnswer {
  std::string summary;
  std::string content;
  bool is_error = false;
};

std::string resource(std::string const& path) {
  return std::string(base::find_resource("demo/project/" + path).value());
}

std::string message(std::string_view role, std::string_view text) {
  return json::dump(
      bj::object{{"kind", "message"}, {"role", role}, {"content", {{{"kind", "text"}, {"text", text}}}}});
}

/// One turn of the model, put together from its stream.
struct Turn {
  std::string text;
  struct Call {
    std::string id, name;
    bj::object arguments;
  };
  std::vector<Call> calls;
};

/// Plays the turn engine: asks the script, runs its calls, until it answers without any.
class Stage {
 public:
  using Tool = std::function<ToolAnswer(bj::object const&)>;

  explicit Stage(std::string_view task) { items_.push_back(message("user", task)); }

  void notify(std::string_view text) {
    items_.push_back(message("system", "[Notification]\n" + std::string(text) + "\n\nGo on."));
  }

  /// The text of the last turn.
  std::string run() {
    for (int i = 0; i < 20; ++i) {
      Turn turn = ask();
      transcript += turn.text + "\n";
      if (!turn.text.empty()) items_.push_back(message("assistant", turn.text));
      for (auto const& call : turn.calls) {
        items_.push_back(json::dump(bj::object{{"kind", "tool_call"},
                                               {"call_id", call.id},
                                               {"name", call.name},
                                               {"arguments", json::dump(call.arguments)}}));
      }
      for (auto const& call : turn.calls) answer(call);
      if (turn.calls.empty()) return turn.text;
      turns.push_back(std::move(turn));
    }
    return "the script does not come to an end";
  }

  std::map<std::string, Tool> tools;
  std::vector<Turn> turns;  ///< those with calls
  std::string transcript;

 private:
  Turn ask() {
    std::string joined, names;
    for (auto const& item : items_) joined += (joined.empty() ? "" : ",") + item;
    for (auto const& [name, tool] : tools) names += (names.empty() ? "\"" : ",\"") + name + "\"";
    std::string request = R"({"id":")" + std::to_string(items_.size()) +
                          R"(","system":"You are `x`.","model":"demo","items":[)" + joined +
                          R"(],"tools":[)" + names + "]}";
    auto source = base::find_resource("rehearsal/demo.lua");
    Turn turn;
    for (auto const& line : rehearse_call({.name = "demo.lua", .source = std::string(*source)}, request))
      read(line.text, turn);
    return turn;
  }

  void read(std::string const& line, Turn& turn) {
    bj::object object = *json::parse_object(line);
    bj::object body = object.begin()->value().as_object();
    std::string kind(object.begin()->key());
    if (kind == "error") ADD_FAILURE() << body["message"].as_string();
    if (kind == "block_start") {
      block_ = body;
      text_.clear();
    }
    if (kind == "delta") text_ += std::string(body["text"].as_string());
    if (kind != "block_stop") return;
    if (block_["type"] == "text") turn.text += text_;
    if (block_["type"] != "tool_use") return;
    turn.calls.push_back({.id = std::string(block_["id"].as_string()),
                          .name = std::string(block_["name"].as_string()),
                          .arguments = *json::parse_object(text_)});
  }

  void answer(Turn::Call const& call) {
    auto tool = tools.find(call.name);
    ToolAnswer result = tool == tools.end() ? ToolAnswer{"unknown tool " + call.name, "", true}
                                            : tool->second(call.arguments);
    bj::object item{{"kind", "tool_result"}, {"call_id", call.id}, {"summary", result.summary}};
    if (!result.content.empty()) item["content"] = result.content;
    if (result.is_error) item["is_error"] = true;
    items_.push_back(json::dump(item));
  }

  std::vector<std::string> items_;
  bj::object block_;
  std::string text_;
};

std::string field(bj::object const& arguments, std::string_view key) {
  auto const* value = arguments.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "(none)";
}

/// File tools and tests over a project in memory; `writable` is what the Pod may write.
class Project {
 public:
  Project(Stage& stage, std::string writable) : writable_(std::move(writable)) {
    for (std::string name :
         {"README.md", "parser/csv.cc", "parser/csv_test.cc", "stats/stats.cc", "stats/stats_test.cc"}) {
      files[std::string(kRoot) + "/" + name] = resource(name);
    }
    stage.tools["Read"] = [this](auto const& a) { return read(field(a, "file_path")); };
    stage.tools["Glob"] = [](auto const&) { return ToolAnswer{"Found 9 file(s) matching **/*", "…"}; };
    stage.tools["Edit"] = [this](auto const& a) {
      return edit(field(a, "file_path"), field(a, "old_string"), field(a, "new_string"));
    };
    stage.tools["Write"] = [this](auto const& a) {
      return write(field(a, "file_path"), field(a, "content"));
    };
    stage.tools["Bash"] = [this](auto const& a) { return bash(field(a, "command")); };
  }

  std::string& file(std::string const& name) { return files[std::string(kRoot) + "/" + name]; }
  void repair() {
    for (auto const& [name, wrong, right] : kRepairs)
      file(name) = text::replace_all(file(name), wrong, right);
  }

  std::map<std::string, std::string> files;
  bool stubborn = false;  ///< tests fail whatever the files say

 private:
  struct Repair {
    std::string name, wrong, right;
  };
  inline static std::vector<Repair> const kRepairs = {
      {"parser/csv.cc", "if (!field.empty()) fields.push", "fields.push"},
      {"stats/stats.cc", "  return values[middle];",
       "  if (values.size() % 2 == 0) return 0;\n  return values[middle];"}};

  ToolAnswer read(std::string const& path) {
    auto found = files.find(path);
    if (found == files.end()) return {"Tool execution failed: file not found: " + path, "", true};
    std::string content;
    int number = 0;
    for (auto line : text::split(std::string_view(found->second).substr(0, found->second.size() - 1), '\n')) {
      char head[16];
      std::snprintf(head, sizeof head, "%6d\t", ++number);
      content += head + std::string(line) + "\n";
    }
    return {"Read " + std::to_string(number) + " line(s) from " + path, content};
  }

  bool refused(std::string const& path) const {
    return !path.starts_with(std::string(kRoot) + "/" + writable_);
  }

  ToolAnswer edit(std::string const& path, std::string const& from, std::string const& to) {
    if (refused(path)) return {"Tool execution failed: path is read-only in this scope: " + path, "", true};
    size_t at = files[path].find(from);
    if (at == std::string::npos)
      return {"Tool execution failed: string not found in file: " + path, "", true};
    files[path].replace(at, from.size(), to);
    return {"Edited " + path + " (1 replacement)", "…"};
  }

  ToolAnswer write(std::string const& path, std::string const& content) {
    if (refused(path)) return {"Tool execution failed: path is read-only in this scope: " + path, "", true};
    files[path] = content;
    return {"Overwrote " + path, ""};
  }

  ToolAnswer bash(std::string const& command) {
    bool parser = command.find("/parser'") != std::string::npos;
    bool stats = command.find("/stats'") != std::string::npos;
    bool all = !parser && !stats;
    EXPECT_TRUE(command.starts_with(R"(make -C '/tmp/it'\''s here/tally)")) << command;
    std::string output;
    bool failed = false;
    auto part = [&](std::string const& name, bool good) {
      good = good && !stubborn;
      failed = failed || !good;
      output += "./x_test\n" + name + (good ? ": all tests passed\n" : ": FAIL something is 3, wanted 2.5\n");
    };
    if (parser || all)
      part("parser", file("parser/csv.cc").find("if (!field.empty()) fields.push") == std::string::npos);
    if (stats || all) part("stats", file("stats/stats.cc").find("size() % 2 == 0") != std::string::npos);
    return {"$ " + command + (failed ? " (exit 2)" : ""), output, failed};
  }

  std::string writable_;
};

std::string parent_task() {
  return "Repair the C++ project in `" + std::string(kRoot) + "`: its tests fail.";
}
std::string child_task(std::string const& part) {
  std::string folder = std::string(kRoot) + "/" + part;
  return "Repair the folder `" + folder + "` of the project `" + std::string(kRoot) + "`: its tests fail.";
}

std::vector<std::string> call_names(Stage const& stage) {
  std::vector<std::string> names;
  for (auto const& turn : stage.turns) {
    std::string joined;
    for (auto const& call : turn.calls) joined += (joined.empty() ? "" : "+") + call.name;
    names.push_back(joined);
  }
  return names;
}

void play_children(Stage& stage, Project& project) {
  stage.tools["SpawnPod"] = [](auto const& a) { return ToolAnswer{"spawned " + field(a, "name"), ""}; };
  stage.tools["ReadPodOutput"] = [](auto const& a) {
    return ToolAnswer{"`" + field(a, "name") + "` is idle; 3 new line(s)",
                      "I look.\n\nReport: " + field(a, "name") + " did it."};
  };
  stage.tools["StopPod"] = [&project](auto const& a) {
    project.repair();
    return ToolAnswer{"stopped " + field(a, "name"), ""};
  };
}

TEST(DemoScript, TheParentStartsTwoPodsInOneTurnAndWaitsForBoth) {
  Stage stage(parent_task());
  Project project(stage, "");
  play_children(stage, project);

  EXPECT_EQ(stage.run(), "`fix-parser` and `fix-stats` are still at work. I wait.");
  EXPECT_EQ(call_names(stage), (std::vector<std::string>{"Glob+Read", "Bash", "SpawnPod+SpawnPod"}));
  std::string root(kRoot);
  EXPECT_EQ(stage.turns[2].calls[1].arguments["scope"],
            (bj::array{bj::object{{"target", root}, {"permission", "read"}},
                       bj::object{{"target", root + "/stats"}, {"permission", "write"}}}));
  EXPECT_EQ(field(stage.turns[2].calls[0].arguments, "name"), "fix-parser");
  EXPECT_EQ(field(stage.turns[2].calls[0].arguments, "profile"), "inherit");
  EXPECT_TRUE(field(stage.turns[2].calls[0].arguments, "task")
                  .starts_with("Repair the folder `" + root + "/parser` of the project `" + root + "`: "));

  stage.notify("pod `fix-stats` finished a turn\n\nReport: refused, pod `fix-parser` holds it.");
  EXPECT_EQ(stage.run(), "`fix-parser` is still at work. I wait.");
  stage.notify("pod `fix-parser` finished a turn");
  EXPECT_EQ(stage.run(),
            "All tests pass.\n- `fix-parser`: fix-parser did it.\n- `fix-stats`: fix-stats did it.");
  EXPECT_EQ(call_names(stage),
            (std::vector<std::string>{"Glob+Read", "Bash", "SpawnPod+SpawnPod", "ReadPodOutput+ReadPodOutput",
                                      "StopPod+StopPod", "Bash"}));
}

TEST(DemoScript, ChildrenThatEndAtOnceAreNotWaitedFor) {
  Stage stage(parent_task());
  Project project(stage, "");
  play_children(stage, project);
  stage.tools["SpawnPod"] = [&](auto const& a) {
    if (field(a, "name") == "fix-stats") {
      stage.notify("pod `fix-parser` errored: no key");
      stage.notify("pod `fix-stats` finished a turn");
    }
    return ToolAnswer{"spawned", ""};
  };
  EXPECT_TRUE(stage.run().starts_with("All tests pass."));
}

TEST(DemoScript, TheParentReportsTestsThatStillFail) {
  Stage stage(parent_task());
  Project project(stage, "");
  play_children(stage, project);
  project.stubborn = true;
  stage.run();
  stage.notify("pod `fix-stats` finished a turn");
  stage.notify("pod `fix-parser` finished a turn");
  EXPECT_TRUE(stage.run().starts_with("The tests still fail: $ make"));
}

TEST(DemoScript, TheParentStartsNobodyWhereNothingFails) {
  Stage stage(parent_task());
  Project project(stage, "");
  project.repair();
  EXPECT_EQ(stage.run(), "All tests pass already; there is nothing to do.");
}

TEST(DemoScript, OnlyTheBrokenFolderGetsAPod) {
  Stage stage(parent_task());
  Project project(stage, "");
  play_children(stage, project);
  project.file("parser/csv.cc") = "";
  EXPECT_EQ(stage.run(), "`fix-stats` is still at work. I wait.");
}

TEST(DemoScript, TheParentReportsSpawnsThatAreRefused) {
  Stage stage(parent_task());
  Project project(stage, "");
  stage.tools["SpawnPod"] = [](auto const&) { return ToolAnswer{"Tool execution failed: no", "", true}; };
  EXPECT_EQ(stage.run(), "A Pod could not be started: Tool execution failed: no So nothing was repaired.");

  Stage without(parent_task());
  Project again(without, "");
  EXPECT_EQ(without.run(), "Tests fail in `parser` and `stats`, but I may not start Pods.");
}

TEST(DemoScript, AToolThatDoesNotWorkEndsTheRunWithItsText) {
  Stage stage(parent_task());
  Project project(stage, "");
  stage.tools["Bash"] = [](auto const&) { return ToolAnswer{"$ make (exit 127)", "make: not found", true}; };
  EXPECT_EQ(stage.run(), "The tests do not run: $ make (exit 127)\nmake: not found");
  Stage pathless("do something");
  EXPECT_TRUE(pathless.run().starts_with("I need a task that names the project's directory"));
}

TEST(DemoScript, AChildRepairsItsFolder) {
  Stage stage(child_task("parser"));
  Project project(stage, "parser");
  std::string report = stage.run();
  EXPECT_EQ(report, "Report: the last field of a line was dropped when it was empty; I changed " +
                        std::string(kRoot) + "/parser/csv.cc and the tests of parser pass.");
  EXPECT_EQ(call_names(stage), (std::vector<std::string>{"Read+Read", "Bash", "Edit", "Bash"}));
}

TEST(DemoScript, TheStatsChildIsRefusedTheOtherFolderAndSaysSo) {
  Stage stage(child_task("stats"));
  Project project(stage, "stats");
  std::string report = stage.run();
  EXPECT_EQ(call_names(stage),
            (std::vector<std::string>{"Read+Read", "Bash", "Edit", "Bash", "Read", "Write"}));
  EXPECT_NE(report.find("the tests of stats pass. I also tried to write " + std::string(kRoot) +
                        "/parser/csv.cc, which was refused (Tool execution failed: path is read-only"),
            std::string::npos)
      << report;
  EXPECT_EQ(project.file("parser/csv.cc"), resource("parser/csv.cc"));
}

TEST(DemoScript, TheStatsChildWouldHaveWrittenTheRightText) {
  Stage stage(child_task("stats"));
  Project project(stage, "");
  EXPECT_NE(stage.run().find("although that folder is not mine"), std::string::npos);
  EXPECT_EQ(project.file("parser/csv.cc"),
            text::replace_all(resource("parser/csv.cc"), "if (!field.empty()) fields.push", "fields.push"));
}

TEST(DemoScript, AChildEditsOnlyWhatItRecognises) {
  Stage stage(child_task("stats"));
  Project project(stage, "stats");
  project.file("stats/stats.cc") = "double median() { return 0; }\n";
  EXPECT_NE(stage.run().find("I do not find the cause in"), std::string::npos);
  EXPECT_EQ(call_names(stage), (std::vector<std::string>{"Read+Read", "Bash"}));
}

TEST(DemoScript, AChildReportsWhatItCouldNotDo) {
  Stage refused(child_task("parser"));
  Project elsewhere(refused, "stats");
  EXPECT_NE(refused.run().find("I could not change"), std::string::npos);

  Stage still(child_task("parser"));
  Project stubborn(still, "parser");
  stubborn.stubborn = true;
  EXPECT_NE(still.run().find("the tests of parser still fail: $ make"), std::string::npos);

  Stage good(child_task("parser"));
  Project repaired(good, "parser");
  repaired.repair();
  EXPECT_NE(good.run().find("pass already; I changed nothing"), std::string::npos);

  Stage gone(child_task("parser"));
  Project missing(gone, "parser");
  missing.files.clear();
  EXPECT_NE(gone.run().find("I could not read"), std::string::npos);

  Stage unknown(child_task("other"));
  EXPECT_NE(unknown.run().find("I know nothing about a folder `other`"), std::string::npos);
}

}  // namespace
}  // namespace insomnia::profile
