// The part of the brain that takes mail and tells its own parent.
#include "base/fault_point.hh"
#include "base/log.hh"
#include "base/text.hh"
#include "pod/brain.hh"
#include "pod/report_receiver.hh"
#include "registry/liveness.hh"

namespace insomnia::pod {

/// Whether the first run can still be delivered: by the instance of the parent that spawned this Pod, which may have died since.
bool Brain::first_run_may_come() const {
  auto const& parent = core_.state.parent;
  if (!parent) return true;
  auto holder = registry::lock_holder(core_.paths.pod_lock(parent->pod_name));
  return !holder || (*holder && (*holder)->instance_id == parent->instance_id);
}

/// In this or a later instance; a later Pod of its name is another one.
bool Brain::parent_lives() const {
  auto const& parent = *core_.state.parent;
  auto holder = registry::lock_holder(core_.paths.pod_lock(parent.pod_name));
  if (!holder || !*holder) return !holder;
  auto state = read_pod_state(core_.paths, parent.pod_name);
  return !state || (*state && (*state)->pod_id == parent.pod_id);
}

void Brain::scan_mail(std::function<void()> done) {
  ++scans_;
  if (mail_hold_ && !first_run_may_come()) release_mail();
  if (mail_hold_) held_scans_.push_back(std::move(done));
  else start_scan(std::move(done));
}

void Brain::release_mail() {
  mail_hold_.reset();
  for (auto& done : std::exchange(held_scans_, {})) start_scan(std::move(done));
}

void Brain::start_scan(std::function<void()> done) {
  using Scan = Result<std::vector<Mail>>;
  core_.log_worker.run<Scan>([paths = core_.paths, name = core_.name(), id = core_.state.pod_id] { return scan_inbox(paths, name, id); },
                             [this, alive = alive_, done = std::move(done)](Scan letters) {
                               if (!*alive) return;
                               // While letters are taken in the Pod is not settled, whatever they say of children.
                               if (!letters) alert("warn", "pod", "the inbox can't be read: " + letters.error().message);
                               else for (auto const& mail : *letters) take_mail(mail);
                               --scans_;
                               done();
                               settled_may_have_changed();
                             });
}

void Brain::take_mail(Mail const& mail) {
  if (shutting_down_) return;  // it stays for the next instance
  wire::MailRef reference{mail.from_pod_id, mail.seq};
  uint64_t last = inbox_.contains(mail.from_pod_id) ? inbox_[mail.from_pod_id] : 0;
  // Taken in before; its file may still be waiting for the log, which then removes it. What the log refused is taken in again.
  if (mail.seq <= last && unlogged_.erase({mail.from_pod_id, mail.seq}) == 0) {
    if (mail.seq > logged_inbox_[mail.from_pod_id]) return;
    // It was sent again after a crash: what is in the log needs no letter any more.
    core_.log_worker.run([paths = core_.paths, name = core_.name(), reference] { remove_mail(paths, name, reference.sender, reference.seq); });
    return;
  }
  std::string about = mail.event ? wire::pod_name_of(*mail.event) : "";
  bool of_itself = about.empty() || about == mail.from_pod_name;
  if (mail.event && !(of_itself && children_.may_report(mail.from_pod_id, mail.from_pod_name))) {
    // It may have become a child just now, because the Pod between has ended.
    auto [looked_up, first] = looked_up_.emplace(mail.from_instance_id, false);
    if (of_itself && first) {
      ++scans_;
      children_.look_for_new_ones([this, alive = alive_, instance = mail.from_instance_id](Result<void> const& looked) {
        if (!*alive) return;
        if (looked) looked_up_[instance] = true;
        else looked_up_.erase(instance);
        if (looked) scan_mail([] {});
        else mail_retry_.start(kMailRetryMs);
        --scans_;
        settled_may_have_changed();
      });
    }
    if (of_itself && (first || !looked_up->second)) return;  // it is looked up
    log::warn("mail of " + mail.from_pod_name + " is not taken in: it is no child of this Pod; it is kept in inbox/dead");
    core_.log_worker.run([paths = core_.paths, name = core_.name(), reference] { bury_mail(paths, name, reference.sender, reference.seq); });
    return;
  }
  inbox_[mail.from_pod_id] = std::max(last, mail.seq);
  if (mail.event) {
    take_child_event(*mail.event, reference, mail.taken);
    return;
  }
  // Only a parent sends such letters: one that is not the known parent has taken this Pod over, if that one is dead.
  bool from_parent = core_.state.parent && core_.state.parent->pod_id == mail.from_pod_id;
  bool from_human = is_human_sender(mail.from_pod_id);
  if (core_.state.parent && !from_parent && !from_human && !parent_lives()) {
    take_parent({mail.from_pod_id, mail.from_instance_id, mail.from_pod_name, core_.paths.pod_socket(mail.from_pod_name)});
    from_parent = true;
  }
  if (!engine_.busy() && inputs_.empty()) {
    // As in run_method: the work of a Pod that has a parent is the parent's, whoever asked for it.
    bool delegated = from_parent || (from_human && core_.state.parent);
    feed(agent::StartRun{.input = wire::text_segments(mail.text), .attachments = {}, .delegated = delegated, .mail = reference});
    return;
  }
  auto body = prompts_.render("notify_wrapper", {{"message", mail.text}});
  notice({.kind = "notification", .body = body ? *body : mail.text, .message = mail.text}, reference, "notify", from_parent);
  waits_.end_all("a message to you has arrived");
}

void Brain::take_child_event(wire::PodEvent const& event, wire::MailRef mail, uint64_t taken) {
  auto const* interrupted = std::get_if<wire::Interrupted>(&event);
  bool paused = interrupted != nullptr && interrupted->paused;
  bool for_parent = children_.concerns_parent(mail.sender, event);
  waits_.heard(mail.sender, event);
  if (auto const* child = children_.find_by_id(mail.sender)) {
    auto const* ended = std::get_if<wire::TurnEnded>(&event);
    // A message that crossed this end on its way starts a further run, whose end comes as well.
    bool more_comes = taken < child->mail_awaited || (ended != nullptr && ended->pending_children > 0);
    children_.set_shown_state(mail.sender, paused ? "paused" : "idle");
    if (paused || !more_comes) children_.set_work_open(mail.sender, false);
  }
  if (!wire::is_agent_visible(event)) {
    // Nothing of it is logged, so nothing else takes it out of the inbox.
    core_.log_worker.run([paths = core_.paths, name = core_.name(), mail] { remove_mail(paths, name, mail.sender, mail.seq); });
    return;
  }
  std::string line = wire::render_pod_event(event);
  auto body = prompts_.render("notify_wrapper", {{"message", line}});
  notice({.kind = "pod_event", .body = body ? *body : line, .event = event}, std::move(mail), "pod_event", for_parent);
}

void Brain::notice(wire::SystemItem item, std::optional<wire::MailRef> mail, std::string trigger, bool delegated) {
  if (shutting_down_) return;  // mail stays in the inbox for the next instance
  feed(agent::Notice{std::move(item), std::move(mail), std::move(trigger), delegated});
}

void Brain::report_to_parent(Mail mail) {
  reports_.push_back(std::move(mail));
  if (reports_.size() == 1) post_report();
}

/// The first of those that wait. The others follow: in another order the parent would take the later one for the last.
void Brain::post_report() {
  Mail mail = reports_.front();
  mail.to_pod_id = core_.state.parent->pod_id;
  using Posted = std::optional<Result<void>>;
  core_.log_worker.run<Posted>(
      [paths = core_.paths, parent = *core_.state.parent, mail]() -> Posted {
        if (!will_read_mail(paths, parent)) return std::nullopt;
        return post_mail(paths, parent.pod_name, mail);
      },
      [this, alive = alive_, mail](Posted outcome) {
        if (!*alive) return;
        if (!outcome) return report_further_up();
        fault_point("report.posted");
        if (Result<void> posted = *std::move(outcome); !posted) {
          if (!std::exchange(report_failed_, true)) alert("error", "pod", "the end can't be reported to the parent; tried again until it can: " + posted.error().message);
          report_retry_.start(kMailRetryMs);
          return;
        }
        poke_sender_.poke(core_.state.parent->socket);
        report_posted();
      });
}

/// The parent is gone for good: what it was to hear goes to the next one above, who is the parent from now on.
void Brain::report_further_up() {
  core_.registry_worker.run<std::optional<ParentLink>>(
      [paths = core_.paths, registry = core_.registry.get(), self = core_.state.pod_id, parent = *core_.state.parent] {
        return report_receiver(paths, *registry, self, parent);
      },
      [this, alive = alive_](std::optional<ParentLink> receiver) {
        if (!*alive) return;
        if (!receiver) {
          alert("warn", "pod", "nobody is left to report to: Pod `" + core_.state.parent->pod_name + "` and those above it are gone");
          return report_posted();
        }
        take_parent(*std::move(receiver));
        post_report();
      });
}

void Brain::report_posted() {
  report_failed_ = false;
  reports_.pop_front();
  if (!reports_.empty()) return post_report();
  core_.loop.post([this, alive = alive_] {
    if (*alive) settled_may_have_changed();
  });
}

void Brain::take_parent(ParentLink parent) {
  if (core_.state.parent && core_.state.parent->pod_id == parent.pod_id) return;
  core_.state.parent = std::move(parent);
  core_.persist();
}

/// An end that a child did not tell itself becomes a letter to this Pod: it outlives a crash until it is in the log. Its number is fixed, so
/// that one that is found again after a restart is not told twice.
void Brain::write_end(wire::PodEvent event, std::string const& instance_id) {
  Mail mail{.to_pod_id = core_.state.pod_id,
            .from_pod_id = instance_id,
            .from_instance_id = instance_id,
            .from_pod_name = wire::pod_name_of(event),
            .seq = 1,
            .event = std::move(event),
            .text = ""};
  if (inbox_.contains(instance_id)) return;
  uint64_t for_parent = children_.concerns_parent(instance_id, *mail.event) ? 1 : 0;
  ends_for_parent_ += for_parent;
  core_.log_worker.run<Result<void>>([paths = core_.paths, name = core_.name(), mail] { return post_mail(paths, name, mail); },
                                     [this, alive = alive_, mail](Result<void> const& posted) {
                                       if (!*alive || posted) return;
                                       alert("warn", "pod", posted.error().message);
                                       take_mail(mail);
                                     });
  scan_mail([this, for_parent] { ends_for_parent_ -= for_parent; });
}

/// News of the control plane. Only a living child may tell it, and only of itself; ends come by mail.
void Brain::take_news(pid_t sender, wire::PodEvent const& event) {
  if (auto const* answered = std::get_if<wire::PermissionAnswered>(&event)) return take_answer(sender, *answered);
  auto const* child = children_.teller(sender, event);
  if (child == nullptr) {
    log::warn("process " + std::to_string(sender) + " sent a pod_event in the name of `" + text::one_line(wire::pod_name_of(event), 64) +
              "`, but it is no living child of that name; the event was dropped");
  } else if (auto const* lent = std::get_if<wire::ScopeSubDelegated>(&event)) {
    children_.grandchildren().lent(*child, *lent);
  } else if (auto const* returned = std::get_if<wire::ScopeReturned>(&event)) {
    children_.grandchildren().returned(*child, *returned);
  } else if (auto const* asked = std::get_if<wire::PermissionAsked>(&event)) {
    asks_.child_asked(child->pod_id, *asked);
  } else if (auto const* settled = std::get_if<wire::PermissionSettled>(&event)) {
    asks_.child_settled(child->pod_id, *settled);
  }
}

/// Only the parent passes answers on.
void Brain::take_answer(pid_t sender, wire::PermissionAnswered const& answered) {
  Result<std::optional<registry::LockHolder>> holder;
  if (core_.state.parent) holder = registry::lock_holder(core_.paths.pod_lock(core_.state.parent->pod_name));
  if (holder && *holder && (*holder)->pid == sender && parent_lives()) asks_.parent_answered(answered);
  else log::warn("process " + std::to_string(sender) + " answers a question, but it is not this Pod's parent; the answer was dropped");
}

/// Tells the parent's process something that it need not know for ever, in this Pod's name.
void Brain::tell_parent(wire::PodEvent event) {
  if (!core_.state.parent) return;
  auto sign = [this](auto& news) {
    news.parent_pod = core_.name();
    news.instance_id = core_.instance_id;
  };
  if (auto* lent = std::get_if<wire::ScopeSubDelegated>(&event)) sign(*lent);
  if (auto* returned = std::get_if<wire::ScopeReturned>(&event)) sign(*returned);
  if (auto* asked = std::get_if<wire::PermissionAsked>(&event)) asked->instance_id = core_.instance_id;
  if (auto* settled = std::get_if<wire::PermissionSettled>(&event)) settled->instance_id = core_.instance_id;
  poke_sender_.tell(core_.state.parent->socket, std::move(event));
}

}  // namespace insomnia::pod
