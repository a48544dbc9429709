#include "pod/child_tools.hh"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/json.hh"
#include "base/sha256.hh"
#include "base/text.hh"
#include "pod/mailbox.hh"
#include "pod/pod_tools.hh"
#include "session/log.hh"
#include "wire/log_entry.hh"

namespace insomnia::pod {
namespace bj = boost::json;

namespace {

constexpr int64_t kSocketMs = 5'000;

/// The assistant texts in `lines` from `from` on.
std::string assistant_text(std::vector<std::string> const& lines, uint64_t from) {
  std::string result;
  auto add = [&](wire::Item const& item) {
    auto const* message = std::get_if<wire::Message>(&item);
    if (message == nullptr || message->role != wire::Role::Assistant) return;
    std::string text = wire::message_text(*message);
    if (text.empty()) return;
    if (!result.empty()) result += "\n\n";
    result += text;
  };
  for (size_t i = from; i < lines.size(); ++i) {
    auto entry = wire::decode_log_entry(lines[i]);
    if (!entry) continue;
    if (auto const* item = std::get_if<wire::AssistantItem>(&entry->record)) add(item->item);
    if (auto const* start = std::get_if<wire::SegmentStart>(&entry->record)) std::for_each(start->history.begin(), start->history.end(), add);
  }
  return result;
}

std::string segment_of(std::vector<std::string> const& lines) {
  // A snapshot does not name its segment; the first record of each is unique (it has the session's id and the time).
  return lines.empty() ? "" : sha256_hex(lines.front()).substr(0, 16);
}

tools::Output unknown_pod(std::string const& name) {
  return tools::failed({Code::InvalidArgument, "no spawned pod named `" + name + "`; ListPods shows those that you can address"});
}

}  // namespace

ChildTools::ChildTools(PodCore& core, Children& children, PokeSender& poke_sender)
    : core_(core), children_(children), poke_sender_(poke_sender) {}

ChildTools::~ChildTools() { *alive_ = false; }

uint64_t ChildTools::keep(std::unique_ptr<client::OneShot> call) {
  uint64_t id = next_call_++;
  calls_.emplace(id, std::move(call));
  return id;
}

void ChildTools::send(std::string_view arguments, Done done) {
  auto input = decode_send_to_pod(arguments);
  if (!input) {
    done(tools::failed(input.error()));
    return;
  }
  auto* record = children_.find(input->name);
  if (record == nullptr || record->grandchild) {
    done(unknown_pod(input->name));
    return;
  }
  if (!children_.is_living(record->pod_id)) {
    done(tools::failed({Code::Unavailable, "Pod `" + input->name + "` has ended; spawn a new one"}));
    return;
  }
  Mail mail{.to_pod_id = record->pod_id,
            .from_pod_id = core_.state.pod_id,
            .from_instance_id = core_.instance_id,
            .from_pod_name = core_.name(),
            .seq = ++core_.state.last_mail,
            .event = std::nullopt,
            .text = input->message};
  record->mail_seq = mail.seq;
  bool was_open = std::exchange(record->work_open, true);
  record->for_parent = children_.works_for_parent() || (was_open && record->for_parent);
  uint64_t awaited = std::exchange(record->mail_awaited, mail.seq);
  std::string pod_id = record->pod_id;
  std::string socket = record->socket_path;
  auto not_sent = [this, pod_id, seq = mail.seq, was_open, awaited](Error const& error, Done const& answer) {
    // Nobody works on it: its end must not be waited for.
    auto* child = children_.find_by_id(pod_id);
    if (child != nullptr && child->mail_awaited == seq) {
      child->mail_awaited = awaited;
      if (!was_open) children_.set_work_open(pod_id, false);
    }
    answer(tools::failed(error));
  };
  // The number is on disk before the message is: it is never used twice.
  core_.persist([this, alive = alive_, name = input->name, mail, pod_id, socket, not_sent, done = std::move(done)](Result<void> written) {
    if (!*alive) return;
    if (!written) return not_sent(std::move(written).error().with_context("the message to `" + name + "` was not sent"), done);
    core_.log_worker.run<Result<void>>([paths = core_.paths, name, mail] { return post_mail(paths, name, mail); },
                                       [this, alive, name, pod_id, socket, not_sent, done](Result<void> posted) {
                                         if (!*alive) return;
                                         if (!posted) return not_sent(posted.error(), done);
                                         children_.set_shown_state(pod_id, "running");
                                         done({.summary = "sent message to `" + name + "`", .content = std::nullopt, .is_error = false});
                                         // The message is in its inbox; the poke only makes it look at once.
                                         poke_sender_.poke(socket);
                                       });
  });
}

tools::Output ChildTools::new_text(std::string const& name, std::string const& pod_id, std::string const& segment,
                                   std::vector<std::string> const& lines, std::string const& state) {
  // A Pod further down is known by its name alone.
  auto* record = pod_id.empty() ? nullptr : children_.find_by_id(pod_id);
  auto& cursor = ended_cursors_[pod_id.empty() ? name : pod_id];
  if (record != nullptr && cursor.first.empty()) cursor = {record->read_segment, record->read_index};
  uint64_t from = cursor.first == segment && cursor.second <= lines.size() ? cursor.second : 0;
  cursor = {segment, lines.size()};
  if (record != nullptr) {
    record->read_segment = segment;
    record->read_index = lines.size();
    core_.persist();
  }
  std::string text = assistant_text(lines, from);
  if (text.empty()) return {.summary = "`" + name + "` is " + state + "; no new assistant text", .content = std::nullopt, .is_error = false};
  auto count = std::count(text.begin(), text.end(), '\n') + 1;
  return {.summary = "`" + name + "` is " + state + "; " + std::to_string(count) + " new line(s)", .content = text, .is_error = false};
}

void ChildTools::read_output(std::string_view arguments, Done done) {
  auto input = decode_named_pod("ReadPodOutput", arguments);
  if (!input) {
    done(tools::failed(input.error()));
    return;
  }
  std::string name = input->name;
  auto* record = children_.find(name);
  if (record == nullptr) {
    auto const& reclaimed = core_.state.reclaimed_children;
    auto it = std::find_if(reclaimed.rbegin(), reclaimed.rend(), [&](auto const& child) { return child.pod_name == name; });
    if (it == reclaimed.rend()) done(unknown_pod(name));
    else read_stored(name, it->pod_id, std::move(done));
    return;
  }
  std::string pod_id = record->pod_id;
  uint64_t id = next_call_;
  keep(std::make_unique<client::OneShot>(
      core_.loop, record->socket_path, std::nullopt, kSocketMs,
      [this, alive = alive_, id, name, pod_id, done = std::move(done)](Result<wire::SnapshotEvent> snapshot) {
        core_.loop.post([this, alive, id] {
          if (*alive) calls_.erase(id);
        });
        if (!snapshot) {
          read_stored(name, pod_id, done);
          return;
        }
        done(new_text(name, pod_id, segment_of(snapshot->entries), snapshot->entries, std::string(wire::status_name(snapshot->status))));
      }));
}

void ChildTools::read_stored(std::string const& name, std::string const& pod_id, Done done) {
  using Stored = Result<std::vector<std::string>>;
  core_.log_worker.run<Stored>(
      [paths = core_.paths, name, pod_id]() -> Stored {
        auto state = TRY(read_pod_state(paths, name));
        if (!state || (state->pod_id != pod_id && !pod_id.empty()) || state->segment_id.empty()) return std::vector<std::string>{};
        auto segment = session::load_segment(paths.sessions_dir(), {state->session_id, state->segment_id});
        if (!segment && segment.error().code == Code::NotFound) return std::vector<std::string>{};
        if (!segment) return std::unexpected(segment.error());
        return std::move(segment->lines);
      },
      [this, alive = alive_, name, pod_id, done = std::move(done)](Stored lines) {
        if (!*alive) return;
        if (!lines) done(tools::failed(lines.error()));
        else done(new_text(name, pod_id, segment_of(*lines), *lines, pod_id.empty() || children_.is_living(pod_id) ? "not answering" : "stopped"));
      });
}

void ChildTools::stop(std::string_view arguments, Done done) {
  auto input = decode_named_pod("StopPod", arguments);
  if (!input) {
    done(tools::failed(input.error()));
    return;
  }
  auto* record = children_.find(input->name);
  if (record == nullptr || record->grandchild) {
    auto const& reclaimed = core_.state.reclaimed_children;
    bool was_ours = std::any_of(reclaimed.begin(), reclaimed.end(), [&](auto const& child) { return child.pod_name == input->name; });
    if (was_ours) done({.summary = "`" + input->name + "` had ended already; its scope is back", .content = std::nullopt, .is_error = false});
    else done(unknown_pod(input->name));
    return;
  }
  children_.stop(record->pod_id, true, [name = input->name, done = std::move(done)](Result<std::string> const& stopped) {
    if (!stopped) done(tools::failed(stopped.error()));
    else done({.summary = "stopped `" + name + "`; scope back: " + *stopped, .content = std::nullopt, .is_error = false});
  });
}

}  // namespace insomnia::pod
