#include "cli/read.hh"

#include <unistd.h>

#include <boost/json.hpp>
#include <optional>

#include "base/json.hh"
#include "base/paths.hh"
#include "base/text.hh"
#include "cli/exit_code.hh"
#include "cli/live_pods.hh"
#include "cli/output.hh"
#include "client/connection.hh"
#include "wire/log_entry.hh"

namespace insomnia::cli {
namespace {

constexpr int64_t kLimitMs = 15'000;

struct Session {
  std::vector<std::string> entries;
  std::string state;
};

Result<Session> from_live_pod(registry::Allocation const& pod) {
  SystemClock clock;
  loop::EventLoop loop(clock);
  std::optional<Result<wire::SnapshotEvent>> result;
  client::OneShot probe(loop, pod.socket, std::nullopt, kLimitMs, [&](auto got) { result = std::move(got); });
  while (!result) loop.run_once(1'000);
  auto snapshot = TRY(std::move(*result));
  return Session{std::move(snapshot.entries), std::string(wire::status_name(snapshot.status))};
}

Result<Session> load(Paths const& paths, std::string const& name) {
  TRY(check_pod_name(name));
  for (auto const& pod : TRY(live_pods(paths))) {
    if (pod.pod_name == name && pod.state == registry::AllocationState::Live) return from_live_pod(pod);
  }
  auto location = TRY(stored_session(paths, name));
  if (!location) return Session{{}, "stopped"};
  return Session{TRY(session::load_segment(paths.sessions_dir(), *location)).lines, "stopped"};
}

void add_text(std::vector<std::string>& texts, wire::Item const& item) {
  auto const* message = std::get_if<wire::Message>(&item);
  if (message == nullptr || message->role != wire::Role::Assistant) return;
  std::string text = wire::message_text(*message);
  if (!text::trim(text).empty()) texts.push_back(std::move(text));
}

}  // namespace

std::vector<std::string> assistant_texts(std::vector<std::string> const& entries) {
  std::vector<std::string> texts;
  for (auto const& line : entries) {
    auto entry = wire::decode_log_entry(line);
    if (!entry) continue;
    if (auto const* start = std::get_if<wire::SegmentStart>(&entry->record)) {
      for (auto const& item : start->history) add_text(texts, item);
    } else if (auto const* said = std::get_if<wire::AssistantItem>(&entry->record)) {
      add_text(texts, said->item);
    }
  }
  return texts;
}

int read_answer(ReadOptions const& options, Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  auto session = load(paths, options.name);
  if (!session) return fail_with(session.error());
  auto texts = assistant_texts(session->entries);
  if (texts.size() > options.last)
    texts.erase(texts.begin(), texts.end() - static_cast<std::ptrdiff_t>(options.last));
  if (options.json) {
    boost::json::array list(texts.begin(), texts.end());
    boost::json::object object{
        {"pod_name", options.name}, {"state", session->state}, {"texts", std::move(list)}};
    return print(json::dump(object) + "\n");
  }
  if (texts.empty()) {
    print_note(options.name + " has not said anything yet (" + session->state + ")");
    return kFailed;
  }
  bool terminal = terminal_of(STDOUT_FILENO, environment).is_terminal;
  std::string out;
  for (auto const& text : texts) {
    if (!out.empty()) out += "\n";
    // A file or a pipe gets what the model wrote, a terminal only what cannot harm it.
    out += std::string(text::trim(terminal ? text::for_terminal(text) : text)) + "\n";
  }
  return print(out);
}

}  // namespace insomnia::cli
