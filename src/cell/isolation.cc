#include "cell/isolation.hh"

namespace insomnia::cell {

std::string_view isolation_name(Isolation isolation) {
  switch (isolation) {
    case Isolation::None: return "none";
    case Isolation::Landlock: return "landlock";
    case Isolation::Cell: return "cell";
  }
  return "none";
}

std::optional<Isolation> parse_isolation(std::string_view name) {
  for (auto isolation : {Isolation::None, Isolation::Landlock, Isolation::Cell}) {
    if (name == isolation_name(isolation)) return isolation;
  }
  return std::nullopt;
}

}  // namespace insomnia::cell
