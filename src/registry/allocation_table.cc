#include "registry/allocation_table.hh"

#include <algorithm>
#include <unordered_map>

#include "scope/geometry.hh"
#include "scope/scope.hh"

namespace insomnia::registry {
namespace {

constexpr char kSchema[] = R"(
create table pods (
  id               integer primary key,
  pod_name         text not null unique,
  pod_id           text not null unique,
  instance_id      text not null,
  live             integer not null,
  spawner_instance text not null,
  spawner_name     text not null,
  delegated_from   text not null,
  socket           text not null,
  segment_id       text not null,
  workspace_root   text not null,
  task             text not null,
  pid              integer not null,
  since_ms         integer not null
);
create index pods_by_parent on pods (delegated_from);
create unique index pods_by_segment on pods (segment_id) where segment_id <> '';

create table rules (
  pod       integer not null,
  deny      integer not null,
  position  integer not null,
  path      text not null,
  writes    integer not null,
  recursive integer not null,
  primary key (pod, deny, position)
) without rowid;
create index write_rules_by_path on rules (path, recursive, writes) where deny = 0 and writes = 1;

create table ancestors (
  ancestor text not null,
  pod      integer not null,
  primary key (ancestor, pod)
) without rowid;
create index ancestors_by_pod on ancestors (pod);

create table totals (pods integer not null);
insert into totals values (0);
create trigger pod_added after insert on pods begin update totals set pods = pods + 1; end;
create trigger pod_removed after delete on pods begin update totals set pods = pods - 1; end;

create table waiters (
  id               integer primary key autoincrement,
  pod_name         text not null,
  pod_id           text not null unique,
  instance_id      text not null,
  live             integer not null,
  spawner_instance text not null,
  spawner_name     text not null,
  delegated_from   text not null,
  task             text not null,
  since_ms         integer not null,
  bell             text not null
);
create table waiter_rules (
  waiter    integer not null,
  deny      integer not null,
  position  integer not null,
  path      text not null,
  writes    integer not null,
  recursive integer not null,
  primary key (waiter, deny, position)
) without rowid;

pragma user_version = 2;
)";

constexpr char kColumns[] =
    "select id, pod_name, pod_id, instance_id, live, spawner_instance, spawner_name, delegated_from, socket, "
    "segment_id, "
    "workspace_root, task, pid, since_ms from pods ";

AllocationTable::Row read_row(Query const& query) {
  AllocationTable::Row row;
  row.id = query.integer(0);
  row.pod.pod_name = query.text(1);
  row.pod.pod_id = query.text(2);
  row.pod.instance_id = query.text(3);
  row.pod.state = query.integer(4) != 0 ? AllocationState::Live : AllocationState::Reserved;
  row.pod.spawner_instance = query.text(5);
  row.pod.spawner_name = query.text(6);
  row.pod.delegated_from = query.text(7);
  row.pod.socket = query.text(8);
  row.pod.segment_id = query.text(9);
  row.pod.workspace_root = query.text(10);
  row.pod.task = query.text(11);
  row.pod.pid = static_cast<pid_t>(query.integer(12));
  row.pod.since_ms = query.integer(13);
  return row;
}

scope::ScopeRule make_rule(std::string path, int64_t writes, int64_t recursive) {
  return {std::move(path), writes != 0 ? scope::Permission::Write : scope::Permission::Read, recursive != 0};
}

}  // namespace

Result<int64_t> AllocationTable::version() {
  Query query(database_, "pragma user_version");
  return TRY(query.next()) ? query.integer(0) : 0;
}

Result<void> AllocationTable::create() {
  return database_.execute(kSchema);
}

Result<std::optional<AllocationTable::Row>> AllocationTable::one(Query& query) {
  if (!TRY(query.next())) return std::optional<Row>();
  return read_row(query);
}

Result<std::vector<AllocationTable::Row>> AllocationTable::many(Query& query) {
  std::vector<Row> rows;
  while (TRY(query.next())) rows.push_back(read_row(query));
  return rows;
}

Result<std::vector<AllocationTable::Row>> AllocationTable::all() {
  static std::string const sql = std::string(kColumns) + "order by pod_name";
  Query query(database_, sql.c_str());
  return many(query);
}

Result<std::optional<AllocationTable::Row>> AllocationTable::by_id(int64_t id) {
  static std::string const sql = std::string(kColumns) + "where id = ?";
  Query query(database_, sql.c_str());
  return one(query.bind(id));
}

Result<std::optional<AllocationTable::Row>> AllocationTable::by_name(std::string_view pod_name) {
  static std::string const sql = std::string(kColumns) + "where pod_name = ?";
  Query query(database_, sql.c_str());
  return one(query.bind(pod_name));
}

Result<std::optional<AllocationTable::Row>> AllocationTable::by_pod_id(std::string_view pod_id) {
  static std::string const sql = std::string(kColumns) + "where pod_id = ?";
  Query query(database_, sql.c_str());
  return one(query.bind(pod_id));
}

Result<std::optional<AllocationTable::Row>> AllocationTable::by_segment(std::string_view segment_id) {
  if (segment_id.empty()) return std::optional<Row>();
  static std::string const sql = std::string(kColumns) + "where segment_id = ? and segment_id <> ''";
  Query query(database_, sql.c_str());
  return one(query.bind(segment_id));
}

Result<std::optional<AllocationTable::Row>> AllocationTable::by_pid(pid_t pid) {
  static std::string const sql = std::string(kColumns) + "where pid = ? and live = 1 limit 1";
  Query query(database_, sql.c_str());
  return one(query.bind(pid));
}

Result<std::vector<AllocationTable::Row>> AllocationTable::below(std::string_view pod_id) {
  static std::string const sql = std::string(kColumns) + "where delegated_from = ? order by pod_name";
  Query query(database_, sql.c_str());
  return many(query.bind(pod_id));
}

Result<int64_t> AllocationTable::count() {
  Query query(database_, "select pods from totals");
  return TRY(query.next()) ? query.integer(0) : 0;
}

Result<int64_t> AllocationTable::count_below(std::string_view pod_id) {
  Query query(database_, "select count(*) from pods where delegated_from = ?");
  query.bind(pod_id);
  return TRY(query.next()) ? query.integer(0) : 0;
}

Result<int64_t> AllocationTable::count_descendants(std::string_view pod_id, int64_t limit) {
  Query query(database_,
              "with recursive subtree (pod_id) as (select pod_id from pods where delegated_from = ?1 union "
              "select pods.pod_id from pods join subtree on pods.delegated_from = subtree.pod_id) "
              "select count(*) from (select 1 from subtree limit ?2)");
  query.bind(pod_id).bind(limit);
  return TRY(query.next()) ? query.integer(0) : 0;
}

Result<std::vector<AllocationTable::Row>> AllocationTable::once_below(std::string_view pod_id) {
  static std::string const sql =
      std::string(kColumns) + "where id in (select pod from ancestors where ancestor = ?)";
  Query query(database_, sql.c_str());
  return many(query.bind(pod_id));
}

Result<std::vector<AllocationTable::Row>> AllocationTable::some(int64_t limit) {
  static std::string const sql =
      std::string(kColumns) +
      "where id >= (random() & 9223372036854775807) % (select coalesce(max(id), 0) + 1 from pods) order by id limit ?";
  Query query(database_, sql.c_str());
  return many(query.bind(limit));
}

Result<void> AllocationTable::load_rules(Row& row) {
  row.pod.scope_allow.clear();
  row.pod.scope_deny.clear();
  Query query(database_,
              "select deny, path, writes, recursive from rules where pod = ? order by deny, position");
  query.bind(row.id);
  while (TRY(query.next())) {
    auto& rules = query.integer(0) != 0 ? row.pod.scope_deny : row.pod.scope_allow;
    rules.push_back(make_rule(query.text(1), query.integer(2), query.integer(3)));
  }
  return {};
}

Result<void> AllocationTable::load_rules(std::vector<Row>& rows) {
  std::unordered_map<int64_t, Row*> by_id;
  for (auto& row : rows) by_id.emplace(row.id, &row);
  Query query(database_, "select pod, deny, path, writes, recursive from rules order by pod, deny, position");
  while (TRY(query.next())) {
    auto found = by_id.find(query.integer(0));
    if (found == by_id.end()) continue;
    auto& pod = found->second->pod;
    auto& rules = query.integer(1) != 0 ? pod.scope_deny : pod.scope_allow;
    rules.push_back(make_rule(query.text(2), query.integer(3), query.integer(4)));
  }
  return {};
}

Result<std::vector<AllocationTable::HeldRule>> AllocationTable::write_rules_touching(
    scope::ScopeRule const& rule) {
  std::vector<HeldRule> result;
  auto keep = [&](int64_t row, std::string path, int64_t recursive) {
    scope::ScopeRule held = make_rule(std::move(path), 1, recursive);
    if (scope::rules_overlap(held, rule)) result.push_back({row, std::move(held)});
  };
  // The target and each of its ancestors are looked up ...
  for (std::string_view path = rule.target; !path.empty(); path = scope::parent_of(path)) {
    Query query(database_, "select pod, recursive from rules where path = ? and deny = 0 and writes = 1");
    query.bind(path);
    while (TRY(query.next())) keep(query.integer(0), std::string(path), query.integer(1));
  }
  // ... and what is below it is one range: '0' follows '/'.
  std::string base = rule.target == "/" ? "" : rule.target;
  std::string first = base + "/", last = base + "0";
  Query query(
      database_,
      "select pod, path, recursive from rules where path > ? and path < ? and deny = 0 and writes = 1");
  query.bind(first).bind(last);
  while (TRY(query.next())) keep(query.integer(0), query.text(1), query.integer(2));
  return result;
}

Result<std::vector<int64_t>> AllocationTable::strays_of(std::string_view pod_id, std::string_view parent) {
  std::vector<int64_t> result;
  Query query(database_,
              "select pods.id from ancestors join pods on pods.id = ancestors.pod where ancestor = ? and "
              "delegated_from = ?");
  query.bind(pod_id).bind(parent);
  while (TRY(query.next())) result.push_back(query.integer(0));
  return result;
}

Result<void> AllocationTable::insert_rules(int64_t row, std::vector<scope::ScopeRule> const& rules,
                                           bool deny) {
  for (size_t position = 0; position < rules.size(); ++position) {
    auto const& rule = rules[position];
    Query query(database_,
                "insert into rules (pod, deny, position, path, writes, recursive) values (?, ?, ?, ?, ?, ?)");
    query.bind(row).bind(deny).bind(static_cast<int64_t>(position)).bind(rule.target);
    TRY(query.bind(rule.permission == scope::Permission::Write).bind(rule.recursive).run());
  }
  return {};
}

Result<int64_t> AllocationTable::insert_row(Allocation const& pod, std::string_view above) {
  int64_t id = 0;
  {
    Query query(database_,
                "insert into pods (pod_name, pod_id, instance_id, live, spawner_instance, spawner_name, "
                "delegated_from, socket, "
                "segment_id, workspace_root, task, pid, since_ms) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                "?, ?) returning id");
    query.bind(pod.pod_name).bind(pod.pod_id).bind(pod.instance_id).bind(pod.state == AllocationState::Live);
    query.bind(pod.spawner_instance).bind(pod.spawner_name).bind(above).bind(pod.socket).bind(pod.segment_id);
    query.bind(pod.workspace_root).bind(pod.task).bind(pod.pid).bind(pod.since_ms);
    if (!TRY(query.next())) return fail(Code::Internal, "pod registry: an inserted row has no id");
    id = query.integer(0);
    TRY(query.run());
  }
  TRY(insert_rules(id, pod.scope_allow, false));
  TRY(insert_rules(id, pod.scope_deny, true));
  return id;
}

Result<void> AllocationTable::insert(Allocation const& pod, Row const* parent) {
  int64_t id = TRY(insert_row(pod, parent ? std::string_view(parent->pod.pod_id) : std::string_view()));
  changed_.emplace_back(id, true);
  if (parent) {
    Query query(database_,
                "insert into ancestors (ancestor, pod) select ancestor, ? from ancestors where pod = ?");
    TRY(query.bind(id).bind(parent->id).run());
  }
  if (!pod.delegated_from.empty()) {
    Query query(database_, "insert or ignore into ancestors (ancestor, pod) values (?, ?)");
    TRY(query.bind(pod.delegated_from).bind(id).run());
  }
  return {};
}

Result<void> AllocationTable::put_back(Holding const& holding, std::string_view parent) {
  int64_t id = TRY(insert_row(holding.row, parent));
  for (auto const& ancestor : holding.ancestors) {
    Query query(database_, "insert or ignore into ancestors (ancestor, pod) values (?, ?)");
    TRY(query.bind(ancestor).bind(id).run());
  }
  return {};
}

Result<void> AllocationTable::move_below(int64_t row, std::string_view parent) {
  Query query(database_, "update pods set delegated_from = ? where id = ?");
  return query.bind(parent).bind(row).run();
}

Result<void> AllocationTable::set_live(int64_t row, pid_t pid, std::string_view segment_id) {
  changed_.emplace_back(row, true);
  Query query(database_, "update pods set live = 1, pid = ?, segment_id = ? where id = ?");
  return query.bind(pid).bind(segment_id).bind(row).run();
}

Result<void> AllocationTable::set_segment(int64_t row, std::string_view segment_id) {
  changed_.emplace_back(row, false);
  Query query(database_, "update pods set segment_id = ? where id = ?");
  return query.bind(segment_id).bind(row).run();
}

Result<void> AllocationTable::remove(Row const& row) {
  if (auto waiting = TRY(waiters()); !waiting.empty()) {
    Row whole = row;
    TRY(load_rules(whole));
    TRY(note_bells(whole.pod.scope_allow, 0));
  }
  // The parent may have been removed a moment ago in this transaction, so it is asked for again.
  TRY(Query(database_,
            "update pods set delegated_from = (select delegated_from from pods where id = ?1) where "
            "delegated_from = ?2")
          .bind(row.id)
          .bind(row.pod.pod_id)
          .run());
  TRY(Query(database_, "delete from rules where pod = ?").bind(row.id).run());
  TRY(Query(database_, "delete from ancestors where pod = ?").bind(row.id).run());
  return Query(database_, "delete from pods where id = ?").bind(row.id).run();
}

Result<std::vector<std::string>> AllocationTable::ancestors_of(Row const& row) {
  std::vector<std::string> result;
  auto know = [&](std::string id) {
    if (std::find(result.begin(), result.end(), id) == result.end()) result.push_back(std::move(id));
  };
  for (auto above = TRY(by_pod_id(row.pod.delegated_from)); above; above = TRY(by_pod_id(above->pod.delegated_from)))
    know(above->pod.pod_id);
  Query query(database_, "select ancestor from ancestors where pod = ?");
  query.bind(row.id);
  while (TRY(query.next())) know(query.text(0));
  return result;
}

Result<std::vector<AllocationTable::Changed>> AllocationTable::take_changed() {
  std::vector<Changed> result;
  for (auto [id, granted] : std::exchange(changed_, {})) {
    auto row = TRY(by_id(id));
    if (!row) continue;
    TRY(load_rules(*row));
    auto ancestors = TRY(ancestors_of(*row));
    result.push_back({{std::move(row->pod), std::move(ancestors)}, granted});
  }
  return result;
}

Result<std::vector<AllocationTable::Waiter>> AllocationTable::waiters() {
  std::vector<Waiter> result;
  {
    Query query(database_,
                "select id, pod_name, pod_id, instance_id, live, spawner_instance, spawner_name, delegated_from, "
                "task, since_ms, bell from waiters order by id");
    while (TRY(query.next())) {
      Waiter waiter;
      waiter.id = query.integer(0);
      waiter.pod.pod_name = query.text(1);
      waiter.pod.pod_id = query.text(2);
      waiter.pod.instance_id = query.text(3);
      waiter.pod.state = query.integer(4) != 0 ? AllocationState::Live : AllocationState::Reserved;
      waiter.pod.spawner_instance = query.text(5);
      waiter.pod.spawner_name = query.text(6);
      waiter.pod.delegated_from = query.text(7);
      waiter.pod.task = query.text(8);
      waiter.pod.since_ms = query.integer(9);
      waiter.bell = query.text(10);
      result.push_back(std::move(waiter));
    }
  }
  if (result.empty()) return result;
  std::unordered_map<int64_t, Waiter*> by_id;
  for (auto& waiter : result) by_id.emplace(waiter.id, &waiter);
  Query query(database_,
              "select waiter, deny, path, writes, recursive from waiter_rules order by waiter, deny, position");
  while (TRY(query.next())) {
    auto found = by_id.find(query.integer(0));
    if (found == by_id.end()) continue;
    auto& pod = found->second->pod;
    auto& rules = query.integer(1) != 0 ? pod.scope_deny : pod.scope_allow;
    rules.push_back(make_rule(query.text(2), query.integer(3), query.integer(4)));
  }
  return result;
}

Result<void> AllocationTable::add_waiter(Allocation const& pod, std::string_view bell) {
  int64_t id = 0;
  {
    Query query(database_,
                "insert into waiters (pod_name, pod_id, instance_id, live, spawner_instance, spawner_name, "
                "delegated_from, task, since_ms, bell) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id");
    query.bind(pod.pod_name).bind(pod.pod_id).bind(pod.instance_id).bind(pod.state == AllocationState::Live);
    query.bind(pod.spawner_instance).bind(pod.spawner_name).bind(pod.delegated_from).bind(pod.task);
    query.bind(pod.since_ms).bind(bell);
    if (!TRY(query.next())) return fail(Code::Internal, "pod registry: an inserted row has no id");
    id = query.integer(0);
    TRY(query.run());
  }
  for (bool deny : {false, true}) {
    auto const& rules = deny ? pod.scope_deny : pod.scope_allow;
    for (size_t position = 0; position < rules.size(); ++position) {
      auto const& rule = rules[position];
      Query query(database_,
                  "insert into waiter_rules (waiter, deny, position, path, writes, recursive) values (?, ?, ?, "
                  "?, ?, ?)");
      query.bind(id).bind(deny).bind(static_cast<int64_t>(position)).bind(rule.target);
      TRY(query.bind(rule.permission == scope::Permission::Write).bind(rule.recursive).run());
    }
  }
  return {};
}

Result<void> AllocationTable::remove_waiter(Waiter const& waiter) {
  TRY(Query(database_, "delete from waiter_rules where waiter = ?").bind(waiter.id).run());
  TRY(Query(database_, "delete from waiters where id = ?").bind(waiter.id).run());
  return note_bells(waiter.pod.scope_allow, waiter.id);
}

Result<void> AllocationTable::note_bells(std::vector<scope::ScopeRule> const& freed, int64_t behind) {
  auto waiting = TRY(waiters());
  auto wants = [&](scope::ScopeRule const& wanted) {
    return wanted.permission == scope::Permission::Write &&
           std::any_of(freed.begin(), freed.end(), [&](scope::ScopeRule const& rule) {
             return rule.permission == scope::Permission::Write && scope::rules_overlap(rule, wanted);
           });
  };
  for (auto const& waiter : waiting) {
    if (waiter.id <= behind) continue;
    if (std::any_of(waiter.pod.scope_allow.begin(), waiter.pod.scope_allow.end(), wants)) bells_.push_back(waiter.bell);
  }
  return {};
}

}  // namespace insomnia::registry
