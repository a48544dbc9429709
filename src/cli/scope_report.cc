#include "cli/scope_report.hh"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "scope/geometry.hh"
#include "scope/protected.hh"
#include "scope/scope.hh"

namespace insomnia::cli {
namespace {

using registry::Allocation;
using scope::Permission;
using scope::ScopeRule;

/// The most specific rule that speaks of the path.
template <class Fits>
std::optional<ScopeRule> rule_at(std::vector<ScopeRule> const& rules, std::string_view path, Fits fits) {
  ScopeRule const* best = nullptr;
  for (auto const& rule : rules) {
    if (!fits(rule) || !matches(rule, path)) continue;
    bool better = best == nullptr || rule.target.size() > best->target.size() ||
                  (rule.target.size() == best->target.size() && rule.permission > best->permission);
    if (better) best = &rule;
  }
  return best == nullptr ? std::nullopt : std::optional(*best);
}

bool writes(ScopeRule const& rule) {
  return rule.permission == Permission::Write;
}

std::optional<ScopeRule> write_rule_at(Allocation const& row, std::string_view path) {
  return rule_at(row.scope_allow, path, writes);
}

/// A deny of either permission takes write away.
std::optional<ScopeRule> deny_at(Allocation const& row, std::string_view path) {
  return rule_at(row.scope_deny, path, [](ScopeRule const&) { return true; });
}

/// The rule by which the Pod may read the path, if it may.
std::optional<ScopeRule> read_rule_at(Allocation const& row, std::string_view path) {
  bool denied = std::any_of(row.scope_deny.begin(), row.scope_deny.end(),
                            [&](ScopeRule const& deny) { return !writes(deny) && matches(deny, path); });
  if (denied) return std::nullopt;
  return rule_at(row.scope_allow, path, [](ScopeRule const&) { return true; });
}

/// Whether the path is in a protected place that no rule of the row opens.
bool is_shut(Allocation const& row, std::string_view path) {
  return std::none_of(row.scope_allow.begin(), row.scope_allow.end(),
                      [&](ScopeRule const& rule) { return writes(rule) && matches(rule, path) && opens(rule, path); });
}

/// The rows as trees.
class Family {
 public:
  explicit Family(std::vector<Allocation> const& rows) : rows_(rows) {
    for (size_t i = 0; i < rows.size(); ++i) by_id_.emplace(rows[i].pod_id, i);
  }

  Allocation const& operator[](size_t index) const { return rows_[index]; }
  size_t size() const { return rows_.size(); }

  /// Indices of the Pods above, nearest first.
  std::vector<size_t> line_above(size_t index) const {
    std::vector<size_t> line;
    auto above = by_id_.find(rows_[index].delegated_from);
    while (above != by_id_.end() && line.size() < rows_.size()) {
      line.push_back(above->second);
      above = by_id_.find(rows_[above->second].delegated_from);
    }
    return line;
  }

  /// The Pods with a write rule for the path which none below them has too, the effective writer first.
  std::vector<size_t> last_holders(std::string_view path) const;

 private:
  std::vector<Allocation> const& rows_;
  std::unordered_map<std::string_view, size_t> by_id_;
};

std::vector<size_t> Family::last_holders(std::string_view path) const {
  struct Candidate {
    size_t index;
    size_t depth;
    bool denied;
  };
  std::vector<Candidate> candidates;
  std::set<size_t> lenders;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (!write_rule_at(rows_[i], path)) continue;
    auto above = line_above(i);
    lenders.insert(above.begin(), above.end());
    candidates.push_back({i, above.size(), deny_at(rows_[i], path).has_value() || is_shut(rows_[i], path)});
  }
  std::erase_if(candidates, [&](Candidate const& each) { return lenders.contains(each.index); });
  // More than one that is not denied is what the registry prevents; if it ever happened both are shown.
  std::stable_sort(candidates.begin(), candidates.end(), [](Candidate const& a, Candidate const& b) {
    return a.denied != b.denied ? !a.denied : a.depth > b.depth;
  });
  bool somebody_writes = !candidates.empty() && !candidates.front().denied;
  std::vector<size_t> result;
  for (auto const& each : candidates) {
    if (!each.denied || !somebody_writes) result.push_back(each.index);
  }
  return result;
}

PathHolder holder_of(Allocation const& row, std::string const& path, std::string const& lent_to) {
  PathHolder holder{.pod_name = row.pod_name,
                    .pod_id = row.pod_id,
                    .task = row.task,
                    .pid = row.pid,
                    .since_ms = row.since_ms,
                    .starting = row.state == registry::AllocationState::Reserved,
                    .rule = write_rule_at(row, path),
                    .denied_by = deny_at(row, path),
                    .may_read = read_rule_at(row, path).has_value()};
  if (!holder.rule) {
    holder.standing = Standing::NoRule;
    holder.denied_by.reset();
  } else if (holder.denied_by) {
    holder.standing = Standing::Denied;
  } else if (!lent_to.empty()) {
    holder.standing = Standing::Lent;
    holder.lent_to = lent_to;
  } else if (is_shut(row, path)) {
    holder.standing = Standing::Protected;
  }
  return holder;
}

std::vector<PathHolder> holders_at(Family const& family, std::string const& path) {
  std::vector<PathHolder> holders;
  std::set<size_t> shown;
  for (size_t last : family.last_holders(path)) {
    std::vector<size_t> line = family.line_above(last);
    line.insert(line.begin(), last);
    std::string lent_to;
    for (size_t index : line) {
      if (!shown.insert(index).second) break;
      holders.push_back(holder_of(family[index], path, lent_to));
      if (holders.back().rule) lent_to = family[index].pod_name;
    }
  }
  return holders;
}

std::vector<PathReader> readers_at(Family const& family, std::string const& path, PathHolder const* writer) {
  std::vector<PathReader> readers;
  for (size_t i = 0; i < family.size(); ++i) {
    Allocation const& row = family[i];
    if (writer != nullptr && row.pod_id == writer->pod_id) continue;
    if (auto rule = read_rule_at(row, path)) {
      readers.push_back(
          {row.pod_name, row.pod_id, *std::move(rule), row.state == registry::AllocationState::Reserved});
    }
  }
  std::sort(readers.begin(), readers.end(),
            [](PathReader const& a, PathReader const& b) { return a.pod_name < b.pod_name; });
  return readers;
}

std::vector<PathPart> parts_below(Family const& family, std::string const& path, PathHolder const* writer) {
  std::set<std::string> targets;
  for (size_t i = 0; i < family.size(); ++i) {
    for (auto const& rule : family[i].scope_allow) {
      if (writes(rule) && rule.target != path && scope::is_below(rule.target, path))
        targets.insert(rule.target);
    }
  }
  std::vector<PathPart> parts;
  for (auto const& target : targets) {
    auto last = family.last_holders(target);
    if (last.empty() || deny_at(family[last.front()], target) || is_shut(family[last.front()], target)) continue;
    Allocation const& row = family[last.front()];
    bool same = writer != nullptr && writer->pod_id == row.pod_id;
    if (same && matches(*writer->rule, target)) continue;  // it was told already
    parts.push_back({target, row.pod_name, row.pod_id, *write_rule_at(row, target),
                     row.state == registry::AllocationState::Reserved});
  }
  return parts;
}

}  // namespace

PathHolder const* ScopeReport::writer() const {
  return holders.empty() || holders.front().standing != Standing::Holds ? nullptr : &holders.front();
}

ScopeReport scope_report(std::vector<registry::Allocation> const& rows, std::string const& asked,
                         std::string const& path) {
  Family family(rows);
  ScopeReport report{.asked = asked, .path = path, .holders = holders_at(family, path)};
  report.readers = readers_at(family, path, report.writer());
  report.parts = parts_below(family, path, report.writer());
  return report;
}

}  // namespace insomnia::cli
