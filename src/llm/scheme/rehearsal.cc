#include "llm/scheme/rehearsal.hh"

#include <sys/socket.h>

#include <boost/json.hpp>
#include <cerrno>
#include <csignal>

#include "base/io.hh"
#include "base/json.hh"
#include "base/resource.hh"
#include "base/text.hh"
#include "base/uuid.hh"
#include "llm/scheme/rehearsal_stream.hh"
#include "loop/child.hh"
#include "wire/line_reader.hh"

namespace insomnia::llm {
namespace bj = boost::json;

namespace {

constexpr size_t kMaxScript = 4u << 20;
constexpr size_t kMaxHostLine = 64u << 20;  // both ways; the host's interpreter could not hold more
constexpr std::string_view kFolder = "rehearsal/";
constexpr std::string_view kSuffix = ".lua";

/// The scripts that come with the program, for error texts.
std::string builtin_names() {
  std::vector<std::string> names;
  for (base::Resource const& resource : base::resources()) {
    if (!resource.path.starts_with(kFolder) || !resource.path.ends_with(kSuffix)) continue;
    std::string_view name = resource.path.substr(kFolder.size());
    name.remove_suffix(kSuffix.size());
    if (name.find('/') == std::string_view::npos) names.push_back("`" + std::string(name) + "`");
  }
  return text::join(names, ", ");
}

/// The first line to the host.
Result<std::string> load_script(std::string const& model_id) {
  std::string name = model_id;
  std::string source;
  if (model_id.find('/') != std::string::npos || model_id.ends_with(kSuffix)) {
    auto file = io::read_file(model_id, kMaxScript);
    if (!file)
      return std::unexpected(std::move(file).error().with_context("read the rehearsal script " + model_id));
    source = *std::move(file);
  } else {
    name = std::string(kFolder) + model_id + std::string(kSuffix);
    auto builtin = base::find_resource(name);
    if (!builtin) {
      return fail(Code::NotFound, "there is no rehearsal script `" + model_id +
                                      "`; give the path of a .lua file, or one of " + builtin_names());
    }
    source = std::string(*builtin);
  }
  if (!text::is_utf8(source))
    return fail(Code::InvalidArgument, "the rehearsal script " + name + " is not UTF-8");
  return json::dump(bj::object{{"script", bj::object{{"name", name}, {"source", source}}}}) + "\n";
}

/// A script's process and the socket to it.
struct Host {
  loop::Child child;
  UniqueFd socket;
  wire::LineReader reader{kMaxHostLine};
  std::string outgoing;  ///< not yet taken by the socket
};

Result<std::unique_ptr<Host>> start_host(std::string const& program, std::string const& model_id) {
  std::string script = TRY(load_script(model_id));
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno("make a socket pair", errno);
  UniqueFd here(ends[0]);
  UniqueFd there(ends[1]);
  // The script's print() shows up in the Pod's stderr. Its environment is empty.
  loop::Launch launch{.program = program, .argv = {program, "lua", "rehearsal"}};
  launch.descriptors = {{2, 1}, {2, 2}, {there.get(), 3}};
  auto child = loop::Child::start(launch);
  if (!child)
    return std::unexpected(
        std::move(child).error().with_context("start the process of the rehearsal script"));
  return std::make_unique<Host>(
      Host{.child = *std::move(child), .socket = std::move(here), .outgoing = std::move(script)});
}

/// Whether the process can take another call: it lives, and nothing of an earlier answer is left.
bool is_usable(Host& host) {
  char byte;
  ssize_t count = ::recv(host.socket.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && host.outgoing.empty() &&
         host.reader.pending() == 0 && !host.child.wait(0);
}

/// What all calls of a provider share. Calls hold it weakly, so they may outlive the provider.
struct Shared {
  loop::EventLoop& loop;
  std::string program;
  std::string model_id;
  int64_t silence_ms;
  std::unique_ptr<Host> idle;  ///< between calls
  uint64_t calls = 0;
  uint64_t attempt = 0;  ///< consecutive calls with `last_items` items
  size_t last_items = 0;
};

class RehearsalCall final : public Call {
 public:
  RehearsalCall(std::shared_ptr<Shared> const& shared, std::string request_line, CallHandler& handler)
      : shared_(shared),
        model_id_(shared->model_id),
        silence_ms_(shared->silence_ms),
        handler_(handler),
        silence_(shared->loop, [this] { on_silence(); }) {
    if (auto ready = prepare_host(*shared, request_line.size()); !ready) {
      early_failure_ = CallFailure{.error = std::move(ready).error()};
      silence_.start(0);
      return;
    }
    host_->outgoing += request_line;
    watcher_ = std::make_unique<loop::FdWatcher>(shared->loop, host_->socket.get(),
                                                 loop::FdWatcher::kRead | loop::FdWatcher::kWrite,
                                                 [this](uint32_t ready) { on_ready(ready); });
    silence_.start(silence_ms_);
  }

  // A host in the middle of an answer dies with the call: its Child is destroyed.
  ~RehearsalCall() override { *alive_ = false; }

 private:
  Result<void> prepare_host(Shared& shared, size_t request_size) {
    if (request_size > kMaxHostLine) {
      return fail(Code::LimitReached, "the conversation is larger than a rehearsal script can take");
    }
    host_ = std::move(shared.idle);
    if (!host_ || !is_usable(*host_)) host_ = TRY(start_host(shared.program, shared.model_id));
    return {};
  }

  void on_silence() {
    if (early_failure_) return finish(std::move(early_failure_), /*reusable=*/false);
    give_up({.code = Code::Timeout,
             .message = "the rehearsal script `" + model_id_ + "` was silent for " +
                        std::to_string(silence_ms_ / 1000) + " s: it loops, or it asked for a longer delay"},
            /*retryable=*/false);
  }

  void on_ready(uint32_t ready) {
    if ((ready & loop::FdWatcher::kWrite) != 0 && !write_some()) return;
    if ((ready & loop::FdWatcher::kRead) != 0) read_some();
  }

  /// False: the call has ended.
  bool write_some() {
    std::string& bytes = host_->outgoing;
    while (!bytes.empty()) {
      ssize_t count = ::send(host_->socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
      if (count < 0) return on_host_gone(), false;
      bytes.erase(0, static_cast<size_t>(count));
    }
    watcher_->set_interest(loop::FdWatcher::kRead);
    return true;
  }

  void read_some() {
    char chunk[64 << 10];
    ssize_t count = ::recv(host_->socket.get(), chunk, sizeof chunk, MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (count <= 0) return on_host_gone();
    host_->reader.feed({chunk, static_cast<size_t>(count)});
    silence_.start(silence_ms_);
    auto alive = alive_;
    while (*alive && host_) {
      auto line = host_->reader.next();
      if (!line) return give_up(std::move(line).error(), false);
      if (!*line) return;
      on_line(**line);
    }
  }

  void on_line(std::string const& line) {
    auto message = decode_rehearsal_line(line);
    if (!message)
      return give_up(std::move(message).error().with_context("the rehearsal script's process"), false);
    if (auto* event = std::get_if<StreamEvent>(&*message)) {
      delivered_ = true;
      return handler_.on_event(*event);
    }
    if (auto* failure = std::get_if<CallFailure>(&*message)) {
      failure->mid_stream = delivered_;
      return finish(std::move(*failure), /*reusable=*/true);
    }
    finish(std::nullopt, /*reusable=*/true);
  }

  /// The process closed its end: wait for its death, which says why. on_silence() ends a wait in vain.
  void on_host_gone() {
    auto shared = shared_.lock();
    if (!shared)
      return give_up({.code = Code::Unavailable, .message = "the rehearsal script's process ended"}, true);
    watcher_.reset();
    host_->child.watch(shared->loop, [this](loop::ExitStatus status) {
      std::string why = status.describe();
      if (status.signalled && status.value == SIGXCPU) why = "it used up its CPU time";
      give_up({.code = Code::Unavailable,
               .message = "the process of the rehearsal script `" + model_id_ +
                          "` ended before its answer did: " + why},
              /*retryable=*/status.signalled);
    });
  }

  void give_up(Error error, bool retryable) {
    finish(CallFailure{.error = std::move(error), .retryable = retryable, .mid_stream = delivered_},
           /*reusable=*/false);
  }

  /// The last thing that this call does: the handler may destroy it.
  void finish(std::optional<CallFailure> failure, bool reusable) {
    watcher_.reset();
    silence_.cancel();
    if (reusable) {
      if (auto shared = shared_.lock()) shared->idle = std::move(host_);
    }
    host_.reset();
    handler_.on_end(std::move(failure));
  }

  std::weak_ptr<Shared> shared_;
  std::string model_id_;
  int64_t silence_ms_;
  CallHandler& handler_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::optional<CallFailure> early_failure_;
  bool delivered_ = false;
  std::unique_ptr<Host> host_;
  std::unique_ptr<loop::FdWatcher> watcher_;  // before the host goes
  loop::Timer silence_;
};

class RehearsalProvider final : public Provider {
 public:
  explicit RehearsalProvider(Shared shared) : shared_(std::make_shared<Shared>(std::move(shared))) {}

  std::unique_ptr<Call> call(Request const& request, CallHandler& handler) override {
    shared_->attempt =
        shared_->calls > 0 && request.items.size() == shared_->last_items ? shared_->attempt + 1 : 1;
    shared_->last_items = request.items.size();
    RehearsalCallInfo info{.id = uuid7(shared_->loop.clock()),
                           .model = shared_->model_id,
                           .call_index = ++shared_->calls,
                           .attempt = shared_->attempt};
    return std::make_unique<RehearsalCall>(shared_, encode_rehearsal_request(request, info) + "\n", handler);
  }

 private:
  std::shared_ptr<Shared> shared_;
};

}  // namespace

std::unique_ptr<Provider> make_rehearsal_provider(ModelConfig const& model, ProviderContext const& context,
                                                  int64_t silence_ms) {
  return std::make_unique<RehearsalProvider>(Shared{.loop = context.loop,
                                                    .program = context.self_program,
                                                    .model_id = model.model_id,
                                                    .silence_ms = silence_ms});
}

std::unique_ptr<Provider> make_rehearsal_provider(ModelConfig const& model, ProviderContext const& context) {
  return make_rehearsal_provider(model, context, kRehearsalSilenceMs);
}

}  // namespace insomnia::llm
