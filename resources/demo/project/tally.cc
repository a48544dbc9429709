#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "parser/csv.hh"
#include "stats/stats.hh"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: tally COLUMN FILE\n");
    return 2;
  }
  std::ifstream file(argv[2]);
  std::string line;
  if (!std::getline(file, line)) {
    std::fprintf(stderr, "tally: cannot read %s\n", argv[2]);
    return 1;
  }
  std::vector<std::string> header = split_line(line);
  size_t column = 0;
  while (column < header.size() && header[column] != argv[1]) ++column;
  if (column == header.size()) {
    std::fprintf(stderr, "tally: %s has no column %s\n", argv[2], argv[1]);
    return 1;
  }
  std::vector<double> values;
  while (std::getline(file, line)) {
    std::vector<std::string> fields = split_line(line);
    if (column < fields.size()) values.push_back(std::strtod(fields[column].c_str(), nullptr));
  }
  std::printf("%s: %zu values, mean %g, median %g\n", argv[1], values.size(), mean(values), median(values));
}
