#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/io.hh"
#include "base/text.hh"

// doc/conformance.md names a test for every case: each must be there.
namespace insomnia::testing {
namespace {

std::string const kRoot = INSOMNIA_SOURCE_DIR "/";

/// The cells of a table row, trimmed; nothing for other lines.
std::vector<std::string> cells(std::string_view line) {
  if (!line.starts_with("| ") || !line.ends_with(" |")) return {};
  std::vector<std::string> result;
  for (auto cell : text::split(line.substr(1, line.size() - 2), '|')) result.emplace_back(text::trim(cell));
  return result;
}

struct NamedTests {
  std::vector<std::string> names;
  std::string file;
};

/// "`Suite.Name`, `Suite.Other` (file); `Suite.Name` (other file)"; empty when it is no list of tests.
std::vector<NamedTests> named_tests(std::string_view cell) {
  std::vector<NamedTests> result;
  if (!cell.starts_with('`')) return result;
  for (auto group : text::split(cell, ';')) {
    auto at = group.rfind(" (");
    if (at == std::string_view::npos || !group.ends_with(')')) {
      ADD_FAILURE() << "no file: " << group;
      continue;
    }
    NamedTests tests{{}, std::string(group.substr(at + 2, group.size() - at - 3))};
    for (auto name : text::split(group.substr(0, at), ',')) {
      auto bare = text::trim(name);
      tests.names.emplace_back(bare.substr(1, bare.size() - 2));
    }
    result.push_back(std::move(tests));
  }
  return result;
}

TEST(ConformanceDocument, NamesOnlyTestsThatExistAndEveryCaseOnce) {
  auto document = io::read_file(kRoot + "doc/conformance.md");
  ASSERT_TRUE(document) << document.error().message;
  std::map<std::string, int> rows;
  std::map<std::string, std::string> sources;
  for (auto line : text::split(*document, '\n')) {
    auto row = cells(line);
    if (row.size() != 3 || row[0].empty() || row[0] == "case") continue;
    ++rows[row[0]];
    auto tests = named_tests(row[2]);
    bool none = row[2].starts_with("does not apply") || row[2].starts_with("*Later*");
    EXPECT_TRUE(none || !tests.empty()) << "case " << row[0] << " is shown by nothing: " << row[2];
    for (auto const& [names, file] : tests) {
      if (!sources.contains(file)) {
        auto source = io::read_file(kRoot + file);
        ASSERT_TRUE(source) << source.error().message;
        sources[file] = *source;
      }
      for (auto const& name : names) {
        auto dot = name.find('.');
        ASSERT_NE(dot, std::string::npos) << name;
        std::string declaration = "(" + name.substr(0, dot) + ", " + name.substr(dot + 1) + ")";
        EXPECT_NE(sources[file].find(declaration), std::string::npos) << "case " << row[0] << ": " << name << " is not in " << file;
      }
    }
  }
  for (int number = 1; number <= 154; ++number) EXPECT_EQ(rows[std::to_string(number)], 1) << "case " << number;
  for (int number = 1; number <= 128; ++number) EXPECT_EQ(rows["P" + std::to_string(number)], 1) << "case P" << number;
  for (int number = 1; number <= 16; ++number) EXPECT_EQ(rows["R" + std::to_string(number)], 1) << "requirement " << number;
}

}  // namespace
}  // namespace insomnia::testing
