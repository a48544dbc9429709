#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "registry/contract_test.hh"
#include "scope/scope.hh"

// A registry that knows nothing of indexes, transactions or geometry: sets of paths on a small tree. The real
// one must agree with it after every one of a few thousand random steps, and at most one Pod may effectively
// write each path.
namespace insomnia::registry {
namespace {

using Points = std::set<std::string>;

/// "/", then a and b on each of four levels. Rules stop two levels above the deepest paths.
std::vector<std::string> const& all_paths() {
  static std::vector<std::string> const paths = [] {
    std::vector<std::string> result{"/"}, level{""};
    for (int depth = 0; depth < 5; ++depth) {
      std::vector<std::string> next;
      for (auto const& base : level) {
        for (auto name : {"/a", "/b"}) next.push_back(base + name);
      }
      result.insert(result.end(), next.begin(), next.end());
      level = next;
    }
    return result;
  }();
  return paths;
}

Points points(scope::ScopeRule const& rule) {
  Points result;
  for (auto const& path : all_paths()) {
    if (matches(rule, path)) result.insert(path);
  }
  return result;
}

Points shared(Points const& a, Points const& b) {
  Points result;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(result, result.end()));
  return result;
}

bool within(Points const& inner, Points const& outer) {
  return std::includes(outer.begin(), outer.end(), inner.begin(), inner.end());
}

bool writes(scope::ScopeRule const& rule) {
  return rule.permission == scope::Permission::Write;
}

class Model {
 public:
  struct Entry {
    Allocation pod;
    std::set<std::string> ancestors;
  };

  Code register_pod(Allocation row) {
    if (row.delegated_from == row.pod_id) return Code::InvalidArgument;
    reclaim();
    if (auto code = taken(row)) return *code;
    Entry const* parent = by_id(row.delegated_from);
    std::set<std::string> ancestors = parent ? parent->ancestors : std::set<std::string>();
    if (!row.delegated_from.empty()) ancestors.insert(row.delegated_from);
    row.delegated_from = parent ? parent->pod.pod_id : "";
    row.state = AllocationState::Live;
    return claim({row, ancestors});
  }

  Code delegate(Allocation row, std::optional<scope::ScopeConfig> const& delegation, Limits const& limits) {
    if (row.delegated_from == row.pod_id) return Code::InvalidArgument;
    reclaim();
    if (auto code = taken(row)) return *code;
    Entry const* spawner = by_id(row.delegated_from);
    if (!spawner || spawner->pod.state != AllocationState::Live ||
        spawner->pod.instance_id != row.spawner_instance)
      return Code::NotFound;
    for (auto const& rule : row.scope_allow) {
      if (!(delegation ? grants(*delegation, rule) : is_within(spawner->pod, rule)))
        return Code::PermissionDenied;
    }
    if (line_above(row).size() > limits.max_depth || children(row.delegated_from) >= limits.max_children)
      return Code::LimitReached;
    std::set<std::string> ancestors = spawner->ancestors;
    ancestors.insert(spawner->pod.pod_id);
    row.spawner_name = spawner->pod.pod_name;
    return claim({row, ancestors});
  }

  Code adopt(Allocation const& row, std::string const& segment) {
    Entry* entry = by_id(row.pod_id);
    bool ours =
        entry && entry->pod.instance_id == row.instance_id && entry->pod.state == AllocationState::Reserved;
    if (!ours || is_dead(entry->pod)) return Code::NotFound;
    if (segment_taken(segment, row.pod_id)) return Code::Conflict;
    entry->pod.state = AllocationState::Live;
    entry->pod.segment_id = segment;
    return kDone;
  }

  Code update_segment(Allocation const& row, std::string const& segment) {
    Entry* entry = by_id(row.pod_id);
    if (!entry || entry->pod.instance_id != row.instance_id) return Code::NotFound;
    if (segment_taken(segment, row.pod_id)) return Code::Conflict;
    entry->pod.segment_id = segment;
    return kDone;
  }

  Code release(Allocation const& row) {
    Entry* entry = by_id(row.pod_id);
    if (!entry || entry->pod.instance_id != row.instance_id) return Code::NotFound;
    remove(row.pod_id);
    return kDone;
  }

  void reclaim() {
    for (;;) {
      auto dead =
          std::find_if(rows.begin(), rows.end(), [&](auto const& row) { return is_dead(row.second.pod); });
      if (dead == rows.end()) return;
      remove(std::string(dead->first));
    }
  }

  /// The points that a Pod may write now: its own without its denies and without what any Pod below it has.
  Points effective(Allocation const& pod) const {
    Points result;
    for (auto const& rule : pod.scope_allow) {
      if (writes(rule)) result.merge(points(rule));
    }
    auto take = [&](std::vector<scope::ScopeRule> const& rules, bool all) {
      for (auto const& rule : rules) {
        if (!all && !writes(rule)) continue;
        for (auto const& point : points(rule)) result.erase(point);
      }
    };
    take(pod.scope_deny, true);
    for (auto const& [id, entry] : rows) {
      if (id != pod.pod_id && is_above(pod.pod_id, entry.pod)) take(entry.pod.scope_allow, false);
    }
    return result;
  }

  bool is_above(std::string const& id, Allocation const& pod) const {
    auto line = line_above(pod);
    return std::any_of(line.begin(), line.end(),
                       [&](Allocation const* above) { return above->pod_id == id; });
  }

  static constexpr Code kDone = static_cast<Code>(-1);
  std::map<std::string, Entry> rows;  // by pod_id
  std::set<std::string> dead;

 private:
  Entry* by_id(std::string const& id) {
    auto found = rows.find(id);
    return found == rows.end() ? nullptr : &found->second;
  }
  bool is_dead(Allocation const& pod) const {
    return dead.contains(pod.state == AllocationState::Live ? pod.instance_id : pod.spawner_instance);
  }
  bool segment_taken(std::string const& segment, std::string const& but) const {
    return !segment.empty() && std::any_of(rows.begin(), rows.end(), [&](auto const& row) {
      return row.first != but && row.second.pod.segment_id == segment;
    });
  }
  size_t children(std::string const& id) const {
    return static_cast<size_t>(std::count_if(
        rows.begin(), rows.end(), [&](auto const& row) { return row.second.pod.delegated_from == id; }));
  }
  std::optional<Code> taken(Allocation const& row) const {
    for (auto const& [id, entry] : rows) {
      if (entry.pod.pod_name == row.pod_name || id == row.pod_id) return Code::AlreadyExists;
    }
    if (segment_taken(row.segment_id, row.pod_id)) return Code::Conflict;
    return std::nullopt;
  }
  std::vector<Allocation const*> line_above(Allocation const& pod) const {
    std::vector<Allocation const*> result;
    for (auto found = rows.find(pod.delegated_from); found != rows.end();
         found = rows.find(found->second.pod.delegated_from)) {
      result.push_back(&found->second.pod);
    }
    return result;
  }
  static bool is_within(Allocation const& spawner, scope::ScopeRule const& rule) {
    Points asked = points(rule);
    bool granted = std::any_of(
        spawner.scope_allow.begin(), spawner.scope_allow.end(),
        [&](auto const& allow) { return (writes(allow) || !writes(rule)) && within(asked, points(allow)); });
    bool denied = std::any_of(spawner.scope_deny.begin(), spawner.scope_deny.end(), [&](auto const& deny) {
      return (writes(rule) || !writes(deny)) && within(asked, points(deny));
    });
    return granted && !denied;
  }
  static bool grants(scope::ScopeConfig const& delegation, scope::ScopeRule const& rule) {
    Points asked = points(rule);
    bool granted = std::any_of(delegation.allow.begin(), delegation.allow.end(), [&](auto const& allow) {
      return (writes(allow) || !writes(rule)) && within(asked, points(allow));
    });
    bool denied = std::any_of(delegation.deny.begin(), delegation.deny.end(), [&](auto const& deny) {
      return (writes(rule) || !writes(deny)) && !shared(asked, points(deny)).empty();
    });
    return granted && !denied;
  }
  static bool any_covers(Points const& asked, std::vector<scope::ScopeRule> const& rules,
                         bool write_rules_only) {
    return std::any_of(rules.begin(), rules.end(), [&](auto const& rule) {
      return (!write_rules_only || writes(rule)) && within(asked, points(rule));
    });
  }

  /// Moves the strays below the entry, looks whether anybody is in the way, and undoes it all if so.
  Code claim(Entry entry) {
    auto before = rows;
    for (auto& [id, other] : rows) {
      if (other.ancestors.contains(entry.pod.pod_id) &&
          other.pod.delegated_from == entry.pod.delegated_from) {
        other.pod.delegated_from = entry.pod.pod_id;
      }
    }
    std::string id = entry.pod.pod_id;
    rows.emplace(id, std::move(entry));
    for (auto const& [other_id, other] : rows) {
      if (other_id == id || !in_the_way(other.pod, rows.at(id).pod)) continue;
      rows = std::move(before);
      return Code::Conflict;
    }
    return kDone;
  }

  bool in_the_way(Allocation const& other, Allocation const& claimant) const {
    if (is_above(claimant.pod_id, other) || claimant.delegated_from == other.pod_id) return false;
    auto line = line_above(claimant);
    auto at = std::find(line.begin(), line.end(), &other);
    for (auto const& mine : claimant.scope_allow) {
      for (auto const& theirs : other.scope_allow) {
        if (!writes(mine) || !writes(theirs)) continue;
        Points both = shared(points(mine), points(theirs));
        if (both.empty() || any_covers(both, claimant.scope_deny, false) ||
            any_covers(both, other.scope_deny, false))
          continue;
        bool lent = at != line.end() && std::any_of(line.begin(), at, [&](Allocation const* between) {
                      return any_covers(both, between->scope_allow, true);
                    });
        if (!lent) return true;
      }
    }
    return false;
  }

  void remove(std::string const& id) {
    std::string parent = rows.at(id).pod.delegated_from;
    rows.erase(id);
    for (auto& [other, entry] : rows) {
      if (entry.pod.delegated_from == id) entry.pod.delegated_from = parent;
    }
  }
};

class RandomSteps {
 public:
  explicit RandomSteps(unsigned seed) : random_(seed) {
    registry_ = *open_sqlite_registry(directory_ / "registry.db", [this](Allocation const& row) {
      return !model_.dead.contains(row.state == AllocationState::Live ? row.instance_id
                                                                      : row.spawner_instance);
    });
  }

  void step() {
    int choice = number(20);
    if (choice < 3) {
      // Several at once: those that do not matter to the next operation stay in the table over it.
      for (int count = 1 + number(4); count > 0; --count) kill();
      return number(2) == 0 ? register_pod() : delegate();
    }
    if (choice < 5) return register_pod();
    if (choice < 12) return delegate();
    if (choice < 16) return adopt();
    if (choice < 18) return release();
    return update_segment();
  }

  /// What must hold between steps.
  void check() {
    auto listed = registry_->list().value();
    model_.reclaim();
    std::vector<Allocation> expected;
    for (auto const& [id, entry] : model_.rows) expected.push_back(entry.pod);
    std::sort(expected.begin(), expected.end(),
              [](auto const& a, auto const& b) { return a.pod_name < b.pod_name; });
    ASSERT_EQ(listed, expected) << trace_;

    std::map<std::string, std::string> writer;
    for (auto const& pod : listed) {
      for (auto const& point : model_.effective(pod)) {
        auto [known, first] = writer.emplace(point, pod.pod_name);
        ASSERT_TRUE(first) << point << " is written by " << known->second << " and " << pod.pod_name
                           << " after " << trace_;
      }
      Points lent, below;
      auto rules = registry_->lent(pod.pod_id).value();
      for (auto const& rule : rules) lent.merge(points(rule));
      for (auto const& other : listed) {
        if (!model_.is_above(pod.pod_id, other)) continue;
        for (auto const& rule : other.scope_allow) {
          if (writes(rule)) below.merge(points(rule));
        }
      }
      ASSERT_EQ(lent, below) << pod.pod_name << " after " << trace_;
    }
  }

  std::map<std::string, int> const& outcomes() const { return outcomes_; }

 private:
  int number(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  scope::ScopeRule rule() {
    std::string path;
    for (int depth = number(5) * 3 / 4; depth > 0; --depth) path += number(2) == 0 ? "/a" : "/b";
    scope::Permission permission = number(4) == 0 ? scope::Permission::Read : scope::Permission::Write;
    return {path.empty() ? "/" : path, permission, number(4) != 0};
  }

  Allocation fresh() {
    std::string name = "p" + std::to_string(number(10));
    Allocation row = pod(name, {});
    row.instance_id = name + "-" + std::to_string(++instances_);
    for (int i = 1 + number(2); i > 0; --i) row.scope_allow.push_back(rule());
    if (number(3) == 0) row.scope_deny.push_back(rule());
    if (number(3) == 0) row.segment_id = "seg" + std::to_string(number(6));
    return row;
  }

  /// A row of the table, with a foreign instance now and then; or one that is not there.
  Allocation known() {
    if (model_.rows.empty() || number(10) == 0) return fresh();
    auto row = model_.rows.begin();
    std::advance(row, number(static_cast<int>(model_.rows.size())));
    Allocation result = row->second.pod;
    if (number(8) == 0) result.instance_id += "-foreign";
    return result;
  }

  void expect(std::string const& what, Code expected, Result<void> const& result) {
    trace_ = what;
    Code got = result ? Model::kDone : result.error().code;
    ASSERT_EQ(got, expected) << what << ": " << (result ? "done" : result.error().message);
    ++outcomes_[what.substr(0, what.find(' ')) + " " + (result ? "done" : std::string(code_name(got)))];
  }

  static std::string describe(Allocation const& row) {
    return row.pod_name + " below '" + row.delegated_from + "' allow " + describe_rules(row.scope_allow) +
           " deny " + describe_rules(row.scope_deny);
  }

  void register_pod() {
    Allocation row = fresh();
    if (number(2) == 0) row.delegated_from = "p" + std::to_string(number(10)) + "-id";
    expect("register " + describe(row), model_.register_pod(row), registry_->register_pod(row));
  }
  void delegate() {
    Allocation spawner = known(), row = fresh();
    if (row.pod_id == spawner.pod_id && number(10) != 0) return;
    row.state = AllocationState::Reserved;
    row.segment_id = "";
    row.delegated_from = spawner.pod_id;
    row.spawner_instance = spawner.instance_id;
    if (number(2) == 0) row.scope_allow = {spawner.scope_allow.front()};
    row.scope_deny = number(2) == 0 ? Rules() : scope::travelling_denies(spawner.scope_deny, row.scope_allow);
    std::optional<scope::ScopeConfig> delegation;
    if (number(3) == 0) {
      delegation = scope::ScopeConfig{{rule(), {"/", scope::Permission::Read, true}}, {}};
      if (number(2) == 0) delegation->deny.push_back(rule());
    }
    Limits limits{.max_depth = 2, .max_children = 2};
    expect("delegate " + describe(row), model_.delegate(row, delegation, limits),
           registry_->delegate(row, delegation, limits));
  }
  void adopt() {
    Allocation row = known();
    std::string segment = number(2) == 0 ? "" : "seg" + std::to_string(number(6));
    expect("adopt " + describe(row), model_.adopt(row, segment),
           registry_->adopt(row.pod_id, row.instance_id, row.pid, segment));
  }
  void release() {
    Allocation row = known();
    expect("release " + describe(row), model_.release(row), registry_->release(row.pod_id, row.instance_id));
  }
  void update_segment() {
    Allocation row = known();
    std::string segment = "seg" + std::to_string(number(6));
    expect("update " + describe(row), model_.update_segment(row, segment),
           registry_->update_segment(row.pod_id, row.instance_id, segment));
  }
  void kill() {
    Allocation row = known();
    trace_ = "the death of " + row.pod_name;
    if (row.state == AllocationState::Live) model_.dead.insert(row.instance_id);
  }

  scope::TestDirectory directory_;
  std::mt19937 random_;
  Model model_;
  std::unique_ptr<Registry> registry_;
  int instances_ = 0;
  std::string trace_;
  std::map<std::string, int> outcomes_;
};

TEST(RegistryModel, EveryStepAgreesAndNoPathHasTwoWriters) {
  // Another walk: --gtest_random_seed=N.
  RandomSteps steps(20240229 + static_cast<unsigned>(GTEST_FLAG_GET(random_seed)));
  for (int i = 0; i < 3000; ++i) {
    ASSERT_NO_FATAL_FAILURE(steps.step()) << "step " << i;
    ASSERT_NO_FATAL_FAILURE(steps.check()) << "step " << i;
  }
  // The steps are worth something only if they meet every outcome.
  for (auto outcome : {"register done", "register conflict", "register already_exists", "delegate done",
                       "delegate conflict", "delegate permission_denied", "delegate not_found",
                       "delegate limit_reached", "adopt done", "adopt not_found", "adopt conflict",
                       "release done", "release not_found", "update done", "update conflict"}) {
    EXPECT_TRUE(steps.outcomes().contains(outcome)) << outcome;
  }
  if (HasFailure()) {
    for (auto const& [outcome, count] : steps.outcomes()) std::printf("%6d %s\n", count, outcome.c_str());
  }
}

}  // namespace
}  // namespace insomnia::registry
