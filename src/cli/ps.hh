#pragma once

#include <string>
#include <vector>

#include "base/environment.hh"
#include "registry/registry.hh"

namespace insomnia::cli {

/// Options of `insomnia ps`.
struct PsOptions {
  bool tree = false;
  bool json = false;
  friend bool operator==(PsOptions const&, PsOptions const&) = default;
};

/// Shows the Pods that are alive.
int list_pods(PsOptions const& options, Environment const& environment);

/// A live Pod as `ps` shows it.
struct PodRow {
  registry::Allocation row;
  std::string state;
  size_t depth = 0;
};
/// Rows in the order of the table: by name, or (tree) children under their parents. Pure.
std::vector<PodRow> order_rows(std::vector<PodRow> rows, bool tree);
/// The table, `width` as in format_table. Pure.
std::string pod_table(std::vector<PodRow> const& rows, int64_t now_ms, size_t width);
/// The JSON form: a list of objects. Pure.
std::string pod_list_json(std::vector<PodRow> const& rows);

}  // namespace insomnia::cli
