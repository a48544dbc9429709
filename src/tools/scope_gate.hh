#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scope/scope.hh"

namespace insomnia::tools {

/// The scope of the hands and the file writes under way. A write asks here once, with the path it will change, and holds its
/// ticket until it is done: so a new scope is in force for all later writes at once, and it is known when the earlier ones that
/// it refuses have ended. Two writes of the same path exclude each other. Called from any thread.
class ScopeGate {
 public:
  /// `own_files`, `own_directories`: see Scope::with_own_files and Scope::with_own_directories; kept over changes.
  ScopeGate(scope::Scope const& scope, std::string own_files, std::vector<scope::ScopeRule> own_directories = {});

  std::shared_ptr<scope::Scope const> scope() const;

  /// Held while a file is changed.
  class Ticket {
   public:
    Ticket(Ticket&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)), path_(std::move(other.path_)) {}
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket();

   private:
    friend class ScopeGate;
    Ticket(ScopeGate& gate, std::string path) : gate_(&gate), path_(std::move(path)) {}
    ScopeGate* gate_;
    std::string path_;
  };

  /// Waits for another write of this canonical path to end. Nothing when the scope of that moment refuses the write.
  std::optional<Ticket> begin_write(std::string const& resolved_path);

  /// Held while a command is started under the scope that it gives.
  class Starting {
   public:
    Starting(Starting&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)), number_(other.number_), scope_(std::move(other.scope_)) {}
    Starting& operator=(Starting&&) = delete;
    ~Starting();
    scope::Scope const& scope() const { return *scope_; }

   private:
    friend class ScopeGate;
    Starting(ScopeGate& gate, uint64_t number, std::shared_ptr<scope::Scope const> scope) : gate_(&gate), number_(number), scope_(std::move(scope)) {}
    ScopeGate* gate_;
    uint64_t number_;
    std::shared_ptr<scope::Scope const> scope_;
  };
  Starting begin_start();

  /// Puts a new scope in force. `settled` is called once, without a lock held: now, or by the thread that ends the last write
  /// under way that the new scope refuses, or the last start of a command that began before.
  void change(scope::Scope const& scope, std::function<void()> settled);

 private:
  struct Change {
    std::shared_ptr<scope::Scope const> scope;
    std::function<void()> settled;
    uint64_t starts = 0;  ///< those with smaller numbers had begun before
  };
  bool is_settled(Change const& change) const;
  void end_write(std::string const& path);
  void end_start(uint64_t number);
  std::vector<std::function<void()>> take_settled();

  mutable std::mutex mutex_;
  std::condition_variable path_free_;
  scope::Scope with_own(scope::Scope const& scope) const { return scope.with_own_files(own_files_).with_own_directories(own_directories_); }
  std::string const own_files_;
  std::vector<scope::ScopeRule> const own_directories_;
  std::shared_ptr<scope::Scope const> scope_;
  std::set<std::string> writing_;
  std::set<uint64_t> starting_;
  uint64_t next_start_ = 1;
  std::vector<Change> changes_;
};

}  // namespace insomnia::tools
