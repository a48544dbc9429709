#include "pod/references.hh"

#include <sys/stat.h>

#include "pod/completions.hh"
#include "pod/fixture_test.hh"

namespace insomnia::pod {
namespace {

/// What `@path` in a message brings along, and what is offered for its completion.
class References : public PodTest {
 protected:
  References() {
    write("a.txt", "hello");
    write("src/main.cc", "int main() {}");
    directory.directory("work/src/deep");
    write("secret/key", "x");
  }
  void write(std::string const& name, std::string const& text) {
    EXPECT_TRUE(io::make_directories(io::parent_path(work + "/" + name)));
    EXPECT_TRUE(io::replace_file(work + "/" + name, text));
  }
  Result<wire::SystemItem> resolve(std::string path, uint64_t limit = 1000) {
    auto items = resolve_references({wire::TextSegment{"see "}, wire::FileRefSegment{std::move(path)}}, work, scope, limit);
    EXPECT_EQ(items.size(), 1u);
    return items.at(0);
  }
  std::string refused(std::string path) {
    auto item = resolve(path);
    EXPECT_FALSE(item) << path;
    if (item) return "";
    EXPECT_HAS(item.error().message, "file ref @" + path);
    return item.error().message;
  }
  std::string completed(std::string const& prefix) {
    std::string result;
    for (auto const& entry : complete_path(prefix, work, scope)) result += entry.value + " ";
    return result;
  }

  scope::Scope scope = scope::Scope::from_resolved({{write_rule(work)}, {read_rule(work + "/secret")}});
};

TEST_F(References, AFileIsItsText) {
  EXPECT_EQ(*resolve("a.txt"), (wire::SystemItem{.kind = "file_attachment", .body = "[File: a.txt]\nhello", .path = "a.txt"}));
  EXPECT_HAS(resolve(work + "/src/main.cc")->body, "int main() {}");
}

TEST_F(References, ALongFileIsCutOnACharacter) {
  write("long", "aaaü" + std::string(100, 'z'));
  auto item = resolve("long", 4);
  ASSERT_TRUE(item) << item.error().message;
  EXPECT_HAS(item->body, "[File: long]\naaa\n[...truncated, 105 bytes total");
}

TEST_F(References, ADirectoryIsItsListing) {
  directory.link("work/src/link", work + "/a.txt");
  EXPECT_EQ(resolve("src")->body, "[Dir: src]\ndeep/\nlink@\nmain.cc\n");
  EXPECT_EQ(resolve("src/deep")->body, "[Dir: src/deep]\n(empty directory)");
  EXPECT_EQ(resolve(".")->body.find("secret"), std::string::npos) << "what can't be read is not listed";
}

TEST_F(References, WhatCannotBeReadIsSaid) {
  EXPECT_HAS(refused("missing"), "no such file");
  EXPECT_HAS(refused("secret/key"), "outside the Pod's scope");
  EXPECT_HAS(refused("/etc/hostname"), "");
  write("binary", std::string("a\0b", 3));
  EXPECT_HAS(refused("binary"), "binary");
  directory.link("work/dangling", work + "/nothing");
  refused("dangling");
  directory.link("work/out", "/usr");
  refused("out");
  directory.link("work/inside", work + "/src");
  EXPECT_HAS(refused("inside"), "symbolic link");
  directory.link("work/sly", work + "/secret/key");
  refused("sly");
  ASSERT_EQ(::mkfifo((work + "/pipe").c_str(), 0600), 0);
  EXPECT_HAS(refused("pipe"), "not a regular file");
}

TEST_F(References, ALinkToAFileInsideIsItsText) {
  directory.link("work/link", work + "/a.txt");
  EXPECT_EQ(resolve("link")->body, "[File: link]\nhello");
}

TEST_F(References, StoresThatAreNotThereAreErrors) {
  auto items = resolve_references({wire::KnowledgeRefSegment{"k"}, wire::WorkflowInvokeSegment{"w"}}, work, scope, 10);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_HAS(items[0].error().message, "#k");
  EXPECT_HAS(items[1].error().message, "/w");
}

TEST_F(References, CompletionsAreDirectoriesFirstAndAsTyped) {
  EXPECT_EQ(completed(""), "src/ a.txt ");
  EXPECT_EQ(completed("s"), "src/ ");
  EXPECT_EQ(completed("src/"), "src/deep/ src/main.cc ");
  EXPECT_EQ(completed("src/m"), "src/main.cc ");
  EXPECT_EQ(completed(work + "/a"), work + "/a.txt ");
}

TEST_F(References, CompletionsShowNothingOutsideTheScope) {
  EXPECT_EQ(completed("/etc/"), "");
  EXPECT_EQ(completed("secret/"), "");
  EXPECT_EQ(completed("missing/x"), "");
}

TEST_F(References, CompletionsAreAtMostAHundred) {
  for (int i = 0; i < 120; ++i) write("many/" + std::to_string(i), "");
  EXPECT_EQ(complete_path("many/", work, scope).size(), 100u);
}

}  // namespace
}  // namespace insomnia::pod
