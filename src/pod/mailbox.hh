#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hh"
#include "base/error.hh"
#include "base/paths.hh"
#include "wire/pod_event.hh"

namespace insomnia::pod {

/// One message between Pods, a file of the receiver's inbox: <data_dir>/pods/<name>/inbox/<sender_pod_id>.<seq>.json. Numbers grow by one
/// per sender and receiver. Format and guarantees: doc/spawn.md, "Mail".
struct Mail {
  std::string to_pod_id;
  std::string from_pod_id;
  std::string from_instance_id;
  std::string from_pod_name;
  uint64_t seq = 0;
  /// With the end of a run: number of the receiver's last message that the sender has worked off. What was sent later is still to come.
  uint64_t taken = 0;
  std::optional<wire::PodEvent> event;  ///< from a child
  std::string text;                     ///< a message for the model, from a parent or a human
  friend bool operator==(Mail const&, Mail const&) = default;
};

/// The sender of a message that a person sends: each has one of its own, so that nobody has to keep count. They sort by time.
std::string new_human_sender(Clock const& clock);
bool is_human_sender(std::string_view sender);

std::string encode_mail(Mail const& mail);
Result<Mail> decode_mail(std::string_view json);

/// Writes the file durably (tmp, fsync, rename, fsync of the directory). Writing the same number again is harmless. Blocking: log thread.
Result<void> post_mail(Paths const& paths, std::string const& receiver_name, Mail const& mail);

/// All readable mail for `pod_id`, ordered by sender and number. Mail for an earlier Pod of the same name is moved to inbox/dead/, what
/// cannot be read to inbox/damaged/. Blocking: log thread.
Result<std::vector<Mail>> scan_inbox(Paths const& paths, std::string const& name, std::string const& pod_id);

/// Moves mail that nobody of this Pod's may send to inbox/dead/. Blocking: log thread.
void bury_mail(Paths const& paths, std::string const& name, std::string const& sender, uint64_t seq);

/// Removes mail that is in the log now. Blocking: log thread.
void remove_mail(Paths const& paths, std::string const& name, std::string const& sender, uint64_t seq);

}  // namespace insomnia::pod
