#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/environment.hh"
#include "pod/stored_pods.hh"
#include "registry/registry.hh"

namespace insomnia::cli {

/// Options of `insomnia ps`.
struct PsOptions {
  bool all = false;  ///< also those that are stored but not alive
  bool tree = false;
  bool json = false;
  friend bool operator==(PsOptions const&, PsOptions const&) = default;
};

/// Shows the Pods that are alive, and those that are stored if asked.
int list_pods(PsOptions const& options, Environment const& environment);

/// A Pod as `ps` shows it. A stored one has a row made from what is stored, without process, instance and
/// socket.
struct PodRow {
  registry::Allocation row;
  std::string state;
  size_t depth = 0;
  std::string isolation;                 ///< "" when it is not known
  std::optional<pod::StoredPod> stored;  ///< set when it is not in the registry
};
/// Adds the stored Pods that are not among the rows. Pure.
std::vector<PodRow> with_stored(std::vector<PodRow> rows, std::vector<pod::StoredPod> stored);
/// Rows in the order of the table: by name, or (tree) children under their parents. Every row comes exactly
/// once, whatever damaged files say about parents. Pure.
std::vector<PodRow> order_rows(std::vector<PodRow> rows, bool tree);
/// The table, `width` as in format_table. Pure.
std::string pod_table(std::vector<PodRow> const& rows, int64_t now_ms, size_t width);
/// The JSON form: a list of objects. Pure.
std::string pod_list_json(std::vector<PodRow> const& rows);

}  // namespace insomnia::cli
