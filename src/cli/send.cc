#include "cli/send.hh"

#include <unistd.h>

#include <optional>

#include "base/io.hh"
#include "base/paths.hh"
#include "base/text.hh"
#include "cli/exit_code.hh"
#include "cli/live_pods.hh"
#include "cli/output.hh"
#include "client/connection.hh"
#include "pod/mailbox.hh"
#include "pod/poke_socket.hh"
#include "registry/liveness.hh"

namespace insomnia::cli {
namespace {

constexpr int64_t kLimitMs = 15'000;
constexpr size_t kMaxMessage = 8 << 20;

/// Runs the loop until `result` is there; whatever fills it has a deadline of its own.
template <class T>
T wait_for(loop::EventLoop& loop, std::optional<T>& result) {
  while (!result) loop.run_once(1'000);
  return std::move(*result);
}

Result<std::string> deliver(loop::EventLoop& loop, Paths const& paths, registry::Allocation const& pod,
                            std::string const& message) {
  std::optional<Result<wire::SnapshotEvent>> snapshot;
  client::OneShot probe(loop, pod.socket, std::nullopt, kLimitMs,
                        [&](auto got) { snapshot = std::move(got); });
  bool running = TRY(wait_for(loop, snapshot)).status == wire::PodStatus::Running;
  if (!running) {
    std::optional<Result<void>> outcome;
    client::RunDelivery delivery(loop, pod.socket, message, kLimitMs,
                                 [&](Result<void> got) { outcome = std::move(got); });
    auto delivered = wait_for(loop, outcome);
    if (delivered) return pod.pod_name + " took the message and works on it";
    // It began to work on something else in between.
    if (delivered.error().code != Code::Conflict) return std::unexpected(delivered.error());
  }
  // From here on it is the Pod's, whatever ends it or this process.
  pod::Mail mail{.to_pod_id = pod.pod_id,
                 .from_pod_id = pod::new_human_sender(loop.clock()),
                 .from_instance_id = "",
                 .from_pod_name = "",
                 .seq = 1,
                 .event = std::nullopt,
                 .text = message};
  TRY(pod::post_mail(paths, pod.pod_name, mail));
  pod::PokeSender(loop).poke(pod.socket);
  auto holder = TRY(registry::lock_holder(paths.pod_lock(pod.pod_name)));
  if (!holder || holder->instance_id != pod.instance_id) {
    pod::remove_mail(paths, pod.pod_name, mail.from_pod_id, mail.seq);
    return fail(Code::Unavailable, pod.pod_name + " has just ended; `insomnia run --name " + pod.pod_name + " \"…\"` goes on with it");
  }
  return pod.pod_name + " is at work; it sees the message before its next model call";
}

Result<std::string> read_message(std::string const& argument) {
  std::string message =
      argument == "-" ? TRY(io::read_all(STDIN_FILENO, "standard input", kMaxMessage)) : argument;
  if (text::trim(message).empty()) return fail(Code::InvalidArgument, "the message is empty");
  return text::to_utf8(message);
}

}  // namespace

int send_message(SendOptions const& options, Environment const& environment) {
  Paths paths = Paths::resolve(environment);
  auto pod = find_live_pod(paths, options.name);
  if (!pod) return fail_with(pod.error());
  auto message = read_message(options.message);
  if (!message) {
    print_error(message.error().message);
    return kUsage;
  }
  SystemClock clock;
  loop::EventLoop loop(clock);
  auto outcome = deliver(loop, paths, *pod, *message);
  if (!outcome) return fail_with(outcome.error());
  return print(*outcome + "\n");
}

}  // namespace insomnia::cli
