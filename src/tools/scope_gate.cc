#include "tools/scope_gate.hh"

#include <algorithm>

namespace insomnia::tools {
namespace {

bool may_write(scope::Scope const& scope, std::string const& path) {
  return scope.decide_resolved(path).permission == scope::Permission::Write;
}

}  // namespace

ScopeGate::ScopeGate(scope::Scope const& scope, std::string own_files, std::vector<scope::ScopeRule> own_directories)
    : own_files_(std::move(own_files)), own_directories_(std::move(own_directories)), scope_(std::make_shared<scope::Scope const>(with_own(scope))) {}

std::shared_ptr<scope::Scope const> ScopeGate::scope() const {
  std::lock_guard lock(mutex_);
  return scope_;
}

ScopeGate::Ticket::~Ticket() {
  if (gate_ != nullptr) gate_->end_write(path_);
}

std::optional<ScopeGate::Ticket> ScopeGate::begin_write(std::string const& resolved_path) {
  std::unique_lock lock(mutex_);
  path_free_.wait(lock, [&] { return !writing_.contains(resolved_path); });
  if (!may_write(*scope_, resolved_path)) return std::nullopt;
  writing_.insert(resolved_path);
  return Ticket(*this, resolved_path);
}

ScopeGate::Starting::~Starting() {
  if (gate_ != nullptr) gate_->end_start(number_);
}

ScopeGate::Starting ScopeGate::begin_start() {
  std::lock_guard lock(mutex_);
  starting_.insert(next_start_);
  return {*this, next_start_++, scope_};
}

bool ScopeGate::is_settled(Change const& change) const {
  if (!starting_.empty() && *starting_.begin() < change.starts) return false;
  return std::all_of(writing_.begin(), writing_.end(), [&](auto const& path) { return may_write(*change.scope, path); });
}

std::vector<std::function<void()>> ScopeGate::take_settled() {
  std::vector<std::function<void()>> settled;
  std::erase_if(changes_, [&](Change& change) {
    if (!is_settled(change)) return false;
    settled.push_back(std::move(change.settled));
    return true;
  });
  return settled;
}

void ScopeGate::end_write(std::string const& path) {
  std::vector<std::function<void()>> settled;
  {
    std::lock_guard lock(mutex_);
    writing_.erase(path);
    settled = take_settled();
  }
  path_free_.notify_all();
  for (auto const& callback : settled) callback();
}

void ScopeGate::end_start(uint64_t number) {
  std::vector<std::function<void()>> settled;
  {
    std::lock_guard lock(mutex_);
    starting_.erase(number);
    settled = take_settled();
  }
  for (auto const& callback : settled) callback();
}

void ScopeGate::change(scope::Scope const& scope, std::function<void()> settled) {
  {
    std::lock_guard lock(mutex_);
    scope_ = std::make_shared<scope::Scope const>(with_own(scope));
    Change change{scope_, std::move(settled), next_start_};
    if (!is_settled(change)) {
      changes_.push_back(std::move(change));
      return;
    }
    settled = std::move(change.settled);
  }
  settled();
}

}  // namespace insomnia::tools
