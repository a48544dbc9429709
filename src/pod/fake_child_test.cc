#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <map>

#include "base/io.hh"
#include "loop/signals.hh"
#include "pod/hand_over.hh"
#include "pod/mailbox.hh"
#include "pod/poke_socket.hh"
#include "pod/socket_server.hh"
#include "registry/liveness.hh"
#include "tools/hands_protocol.hh"
#include "wire/log_entry.hh"

// This executable is also the process that the tests start as a child Pod: `fake-child ROLE --pod NAME --spawn-config-fd 3 …`.
namespace insomnia::pod {
namespace {

[[noreturn]] void hang() {
  for (;;) ::pause();
}

/// A Pod without a model: it adopts its row, gets ready, notes every run in runs.log, and ends at a shutdown.
class FakePodProcess {
 public:
  FakePodProcess(std::string role, std::map<std::string, std::string> options) : role_(std::move(role)), options_(std::move(options)) {}

  int run() {
    UniqueFd config(3);
    auto hand_over = decode_hand_over(*io::read_all(config.get(), "hand-over"));
    if (!hand_over) return 90;
    hand_over_ = *hand_over;
    paths_.runtime_dir = io::parent_path(io::parent_path(hand_over_.parent->socket));
    paths_.data_dir = io::parent_path(paths_.runtime_dir) + "/data";
    note("pid", std::to_string(::getpid()) + "\n");
    note("cwd", *io::current_directory() + "\n");
    auto lock = registry::InstanceLock::acquire(paths_.pod_lock(name()), hand_over_.instance_id);
    if (!lock) return 91;
    auto table = registry::open_sqlite_registry(paths_.registry_db(), registry::lock_liveness(paths_.runtime_dir, paths_.data_dir));
    if (!table || !(*table)->adopt(hand_over_.pod_id, hand_over_.instance_id, ::getpid(), "")) return 92;
    SystemClock clock;
    loop::EventLoop loop(clock);
    loop_ = &loop;
    auto server = SocketServer::bind(loop, paths_.pod_socket(name()),
                                     {.snapshot = [this] { return snapshot(); },
                                      .on_method = [this](ClientId client, wire::Method const& method) { on_method(client, method); }});
    if (!server) return 93;
    server_ = server->get();
    auto poke_socket = PokeSocket::bind(loop, poke_path(paths_.pod_socket(name())),
                                        {.poked = [this] { note("pokes.log", "poke\n"); }, .told = [](pid_t, wire::PodEvent const&) {}});
    if (!poke_socket) return 94;
    std::string id = role_ == "wrong-id" ? "somebody-else" : hand_over_.pod_id;
    say("INSOMNIA-READY\t" + name() + "\t" + paths_.pod_socket(name()) + "\t" + id + "\t" + hand_over_.instance_id + "\n");
    loop.run();
    if (role_ == "crash-on-shutdown") return 9;
    (void)(*table)->release(hand_over_.pod_id, hand_over_.instance_id);
    return 0;
  }

 private:
  std::string name() const { return *hand_over_.config.pod_name; }
  void note(std::string const& file, std::string const& text) {
    UniqueFd fd(::open((paths_.pod_runtime_dir(name()) + "/" + file).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    (void)io::write_all(fd.get(), text, file);
  }
  void say(std::string const& line) {
    UniqueFd fd(4);
    (void)io::write_all(fd.get(), line, "ready");
  }
  wire::SnapshotEvent snapshot() const {
    wire::SnapshotEvent event;
    event.greeting.pod_name = name();
    event.entries.push_back(wire::encode_log_entry({1, wire::SegmentStart{.session_id = "s"}}));
    event.entries.push_back(wire::encode_log_entry({2, wire::AssistantItem{wire::assistant_message("first words")}}));
    event.entries.push_back(wire::encode_log_entry({3, wire::AssistantItem{wire::assistant_message("last words")}}));
    return event;
  }
  void on_method(ClientId client, wire::Method const& method) {
    if (auto const* run = std::get_if<wire::RunMethod>(&method.body)) {
      note("runs.log", wire::encode_method({*run, std::nullopt}) + "\n");
      if (role_ == "busy") server_->reply(client, wire::ErrorEvent{"already_running", "it runs"}, method.id);
      else if (role_ == "rejecting") server_->reply(client, wire::ErrorEvent{"invalid_request", "not this"}, method.id);
      else if (role_ == "dying") ::_exit(5);
      else server_->broadcast(wire::UserMessageEvent{run->input});
    } else if (std::holds_alternative<wire::ShutdownMethod>(method.body)) {
      note("shutdowns.log", wire::encode_method({method.body, std::nullopt}) + "\n");
      if (role_ != "stubborn") loop_->stop();
    }
  }

  std::string role_;
  std::map<std::string, std::string> options_;
  HandOver hand_over_;
  Paths paths_;
  loop::EventLoop* loop_ = nullptr;
  SocketServer* server_ = nullptr;
};

/// Processes that never get ready.
int fail_to_start(std::string const& role, std::string const& name) {
  auto say = [](std::string const& text) { (void)io::write_all(4, text, "ready"); };
  if (role == "exit") {
    std::fprintf(stderr, "error: no key for the model\n");
    return 3;
  }
  if (role == "exit-silently") return 1;
  if (role == "exit-loudly") {
    for (int i = 0; i < 2000; ++i) std::fprintf(stderr, "line %d\n", i);
    return 1;
  }
  if (role == "leave-holder") {
    // Somebody else keeps the pipe open: only the end of the process itself tells.
    if (::fork() == 0) hang();
    std::fprintf(stderr, "gone\n");
    return 7;
  }
  if (role == "close-and-hang") {
    ::close(4);
    hang();
  }
  if (role == "malformed") say("hello\n");
  if (role == "wrong-name") say("INSOMNIA-READY\tanother\t/sock\tid\tinstance\n");
  if (role == "endless-line") say(std::string(20000, 'x'));
  if (role == "in-pieces") {
    say("INSOMNIA-READY\t" + name);
    say("\t/some/sock\tthe-id\tthe-in");
    say("stance\n");
  }
  hang();
}

int fake_child_main(int argc, char** argv) {
  std::map<std::string, std::string> options;
  for (int i = 3; i + 1 < argc; ++i) options[argv[i]] = argv[i + 1];
  std::string role = argv[2];
  for (auto* known : {"pod", "wrong-id", "busy", "rejecting", "dying", "stubborn", "crash-on-shutdown"}) {
    if (role == known) return FakePodProcess(role, options).run();
  }
  return fail_to_start(role, options["--pod"]);
}

}  // namespace
}  // namespace insomnia::pod

int main(int argc, char** argv) {
  if (argc > 2 && std::strcmp(argv[1], "fake-child") == 0) return insomnia::pod::fake_child_main(argc, argv);
  if (argc > 1 && std::strcmp(argv[1], "hands") == 0) return insomnia::tools::hands_main(3);
  insomnia::loop::ignore_write_signals();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
