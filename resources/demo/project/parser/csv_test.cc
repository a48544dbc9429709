#include "csv.hh"

#include <cstdio>

namespace {

int failures = 0;

std::string shown(std::vector<std::string> const& fields) {
  std::string text;
  for (std::string const& field : fields) text += "[" + field + "]";
  return text;
}

void expect_fields(char const* line, std::vector<std::string> const& wanted) {
  std::vector<std::string> fields = split_line(line);
  if (fields == wanted) return;
  ++failures;
  std::printf("parser: FAIL split_line(\"%s\") gives %zu fields %s, wanted %zu fields %s\n", line, fields.size(),
              shown(fields).c_str(), wanted.size(), shown(wanted).c_str());
}

}  // namespace

int main() {
  expect_fields("a,b,c", {"a", "b", "c"});
  expect_fields("\"x, y\",\"say \"\"hi\"\"\"", {"x, y", "say \"hi\""});
  expect_fields("a,,c", {"a", "", "c"});
  expect_fields("a,b,", {"a", "b", ""});
  expect_fields("", {""});
  if (failures == 0) std::printf("parser: all tests passed\n");
  return failures == 0 ? 0 : 1;
}
