#include "registry/model_test.hh"

#include <gtest/gtest.h>

#include <random>

// The real registry must agree with the model after every one of a few thousand random steps, and at most one Pod may
// effectively write each path.
namespace insomnia::registry {
namespace {

class RandomSteps {
 public:
  explicit RandomSteps(unsigned seed) : random_(seed) {
    registry_ = *open_sqlite_registry(directory_ / "registry.db", [this](Allocation const& row) {
      return !model_.dead.contains(row.state == AllocationState::Live ? row.instance_id
                                                                      : row.spawner_instance);
    });
  }

  void step() {
    if (number(80) == 0) return restore_all();
    int choice = number(26);
    if (choice >= 20) return restore();
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
    for (auto const& pod : listed) last_.at(pod.pod_id).segment_id = pod.segment_id;

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
  static constexpr int kNames = 14;

  int number(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  scope::ScopeRule rule() {
    std::string path;
    for (int depth = number(5) * 3 / 4; depth > 0; --depth) path += number(2) == 0 ? "/a" : "/b";
    scope::Permission permission = number(4) == 0 ? scope::Permission::Read : scope::Permission::Write;
    return {path.empty() ? "/" : path, permission, number(4) != 0};
  }

  Allocation fresh() {
    std::string name = "p" + std::to_string(number(kNames));
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
    if (number(2) == 0) row.delegated_from = "p" + std::to_string(number(kNames)) + "-id";
    expect("register " + describe(row), model_.register_pod(row), registry_->register_pod(row));
    remember(row);
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
    remember(row);
  }
  void adopt() {
    auto reserved = std::find_if(model_.rows.begin(), model_.rows.end(), [](auto const& row) {
      return row.second.pod.state == AllocationState::Reserved;
    });
    Allocation row = reserved == model_.rows.end() || number(3) == 0 ? known() : reserved->second.pod;
    std::string segment = number(2) == 0 ? "" : "seg" + std::to_string(number(6));
    expect("adopt " + describe(row), model_.adopt(row, segment),
           registry_->adopt(row.pod_id, row.instance_id, row.pid, segment));
  }
  void release() {
    Allocation row = known();
    bool had_children = has_children(row.pod_id);
    expect("release " + describe(row), model_.release(row), registry_->release(row.pod_id, row.instance_id));
    if (had_children && !model_.rows.contains(row.pod_id)) note("release above its children");
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

  // ---- Restores

  /// The last instances of those that have ended.
  std::vector<Allocation> ended() const {
    std::vector<Allocation> result;
    for (auto const& [id, row] : last_) {
      if (!model_.rows.contains(id)) result.push_back(row);
    }
    return result;
  }
  bool has_children(std::string const& pod_id) const {
    return std::any_of(model_.rows.begin(), model_.rows.end(),
                       [&](auto const& row) { return row.second.pod.delegated_from == pod_id; });
  }
  /// What a Pod was granted, and who its parent was then.
  void remember(Allocation const& row) {
    auto granted = model_.rows.find(row.pod_id);
    if (granted != model_.rows.end() && granted->second.pod.instance_id == row.instance_id) last_[row.pod_id] = row;
  }
  void note(std::string const& outcome) { ++outcomes_[outcome]; }

  /// With its scope or a part of it, through its parent if that lives.
  void restore() {
    auto candidates = ended();
    if (!candidates.empty()) restore(candidates[static_cast<size_t>(number(static_cast<int>(candidates.size())))]);
  }
  /// As after a reboot: everybody was killed, and the Pods come back in any order.
  void restore_all() {
    for (auto const& [id, entry] : model_.rows) {
      model_.dead.insert(entry.pod.state == AllocationState::Live ? entry.pod.instance_id : entry.pod.spawner_instance);
    }
    trace_ = "the death of all";
    ASSERT_NO_FATAL_FAILURE(check());
    auto all = ended();
    std::shuffle(all.begin(), all.end(), random_);
    for (auto const& row : all) {
      ASSERT_NO_FATAL_FAILURE(restore(row));
      ASSERT_NO_FATAL_FAILURE(check());
    }
  }
  void restore(Allocation row) {
    row.instance_id = row.pod_name + "-" + std::to_string(++instances_);
    row.spawner_instance = row.spawner_name = "";
    if (number(3) == 0) lessen(row);
    auto parent = model_.rows.find(row.delegated_from);
    bool parent_lives = parent != model_.rows.end() && parent->second.pod.state == AllocationState::Live;
    if (parent_lives && number(4) != 0) return restore_through(parent->second.pod, row);
    row.state = AllocationState::Live;
    expect("restore " + describe(row), model_.register_pod(row), registry_->register_pod(row));
    remember(row);
    if (!model_.rows.contains(row.pod_id)) return;
    if (!row.delegated_from.empty() && parent == model_.rows.end()) note("restore before its parent");
    if (has_children(row.pod_id)) note("restore above its children");
  }
  void restore_through(Allocation const& parent, Allocation row) {
    std::string segment = std::exchange(row.segment_id, "");
    row.state = AllocationState::Reserved;
    row.spawner_instance = parent.instance_id;
    expect("restore-child " + describe(row), model_.delegate(row, std::nullopt, {}), registry_->delegate(row, std::nullopt, {}));
    remember(row);
    if (!model_.rows.contains(row.pod_id)) return;
    if (has_children(row.pod_id)) note("restore-child above its children");
    expect("adopt " + describe(row), model_.adopt(row, segment), registry_->adopt(row.pod_id, row.instance_id, row.pid, segment));
  }
  /// Leaves a rule out, makes one narrower, or takes a part away.
  void lessen(Allocation& row) {
    auto& rule = row.scope_allow[static_cast<size_t>(number(static_cast<int>(row.scope_allow.size())))];
    switch (number(3)) {
      case 0: row.scope_allow = {scope::ScopeRule(rule)}; break;
      case 1: rule.permission = scope::Permission::Read; break;
      default: row.scope_deny.push_back(this->rule());
    }
  }

  scope::TestDirectory directory_;
  std::mt19937 random_;
  Model model_;
  std::unique_ptr<Registry> registry_;
  int instances_ = 0;
  std::string trace_;
  std::map<std::string, int> outcomes_;
  std::map<std::string, Allocation> last_;  ///< instances that were granted something, by pod_id
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
                       "release done", "release not_found", "release above its children", "update done", "update conflict",
                       "restore done", "restore conflict", "restore before its parent", "restore above its children",
                       "restore-child done", "restore-child permission_denied",
                       "restore-child above its children"}) {
    EXPECT_TRUE(steps.outcomes().contains(outcome)) << outcome;
  }
  if (HasFailure()) {
    for (auto const& [outcome, count] : steps.outcomes()) std::printf("%6d %s\n", count, outcome.c_str());
  }
}

}  // namespace
}  // namespace insomnia::registry
