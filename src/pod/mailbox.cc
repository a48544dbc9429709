#include "pod/mailbox.hh"

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstdio>
#include <tuple>

#include "base/io.hh"
#include "base/json.hh"
#include "base/log.hh"
#include "base/uuid.hh"

namespace insomnia::pod {
namespace {

constexpr std::string_view kHuman = "human-";
constexpr size_t kMaxMailBytes = 16u << 20;

std::string inbox_dir(Paths const& paths, std::string const& name) { return paths.pod_dir(name) + "/inbox"; }

std::string file_name(std::string const& sender, uint64_t seq) { return sender + "." + std::to_string(seq) + ".json"; }

void set_aside(std::string const& directory, std::string const& name, std::string const& folder) {
  std::string target = directory + "/" + folder;
  if (!io::make_directories(target)) return;
  if (::rename((directory + "/" + name).c_str(), (target + "/" + name).c_str()) != 0) {
    log::warn("cannot set aside " + directory + "/" + name);
  }
}

}  // namespace

std::string encode_mail(Mail const& mail) {
  boost::json::object object{{"to_pod_id", mail.to_pod_id},
                             {"from_pod_id", mail.from_pod_id},
                             {"from_instance_id", mail.from_instance_id},
                             {"from_pod_name", mail.from_pod_name},
                             {"seq", mail.seq}};
  if (mail.taken > 0) object["taken"] = mail.taken;
  if (mail.event) object["event"] = *json::parse(wire::encode_pod_event(*mail.event));
  if (!mail.text.empty()) object["text"] = mail.text;
  return json::dump(object) + "\n";
}

Result<Mail> decode_mail(std::string_view text) {
  auto object = TRY(json::parse_object(text));
  json::Reader reader(object, "mail");
  Mail mail{.to_pod_id = reader.string("to_pod_id"),
            .from_pod_id = reader.string("from_pod_id"),
            .from_instance_id = reader.string_or("from_instance_id", ""),
            .from_pod_name = reader.string_or("from_pod_name", ""),
            .seq = reader.uint("seq"),
            .taken = reader.uint_or("taken", 0),
            .event = std::nullopt,
            .text = reader.string_or("text", "")};
  if (auto const* event = reader.object("event")) mail.event = TRY(wire::decode_pod_event(json::dump(*event)));
  TRY(reader.finish());
  return mail;
}

std::string new_human_sender(Clock const& clock) { return std::string(kHuman) + uuid7(clock); }
bool is_human_sender(std::string_view sender) { return sender.starts_with(kHuman); }

Result<void> post_mail(Paths const& paths, std::string const& receiver_name, Mail const& mail) {
  TRY(check_pod_name(receiver_name));
  std::string directory = inbox_dir(paths, receiver_name);
  TRY(io::make_directories(directory));
  return io::write_file_atomic(directory + "/" + file_name(mail.from_pod_id, mail.seq), encode_mail(mail));
}

Result<std::vector<Mail>> scan_inbox(Paths const& paths, std::string const& name, std::string const& pod_id) {
  std::string directory = inbox_dir(paths, name);
  std::vector<Mail> result;
  for (auto const& entry : TRY(io::list_directory(directory))) {
    if (!entry.ends_with(".json")) continue;  // a file that is still being written, or a folder
    auto bytes = io::read_file(directory + "/" + entry, kMaxMailBytes);
    if (!bytes && bytes.error().code == Code::NotFound) continue;
    if (!bytes && bytes.error().os_errno != 0 && bytes.error().os_errno != EISDIR) {
      // The machine's trouble, not the letter's: it stays for the next look.
      log::warn("mail can't be read now: " + bytes.error().message);
      continue;
    }
    auto mail = bytes ? decode_mail(*bytes) : Result<Mail>(std::unexpected(bytes.error()));
    if (!mail || file_name(mail->from_pod_id, mail->seq) != entry) {
      log::warn("mail " + directory + "/" + entry + " can't be read; it is kept in damaged/");
      set_aside(directory, entry, "damaged");
    } else if (mail->to_pod_id != pod_id) {
      set_aside(directory, entry, "dead");
    } else {
      result.push_back(*std::move(mail));
    }
  }
  std::sort(result.begin(), result.end(),
            [](Mail const& a, Mail const& b) { return std::tie(a.from_pod_id, a.seq) < std::tie(b.from_pod_id, b.seq); });
  return result;
}

void bury_mail(Paths const& paths, std::string const& name, std::string const& sender, uint64_t seq) {
  set_aside(inbox_dir(paths, name), file_name(sender, seq), "dead");
}

void remove_mail(Paths const& paths, std::string const& name, std::string const& sender, uint64_t seq) {
  ::unlink((inbox_dir(paths, name) + "/" + file_name(sender, seq)).c_str());
}

}  // namespace insomnia::pod
