#include "http/client.hh"

#include <sched.h>

#include <deque>
#include <map>
#include <unordered_map>

#include "base/log.hh"
#include "http/transfer.hh"
#include "loop/worker.hh"

namespace insomnia::http {

struct Client::Impl {
  Impl(loop::EventLoop& event_loop, Environment const& environment)
      : loop(event_loop),
        proxies(environment),
        trust(TrustStore::from(environment)),
        curl_timer(event_loop, [this] { act(CURL_SOCKET_TIMEOUT, 0); }),
        soon(event_loop, [this] { deliver(); }) {}
  ~Impl();

  void load();
  void loaded(Result<CurlLibrary const*> library);
  void launch(ActiveTransfer& transfer);
  void act(curl_socket_t socket, int ready);
  void collect_finished();
  void finish(ActiveTransfer& transfer, std::optional<Failure> failure);
  void limit_passed(uint64_t id);
  void deliver();
  bool deliver_one(uint64_t id);
  void detach(ActiveTransfer& transfer);
  void cancel(uint64_t id);

  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void*);
  static int on_timer(CURLM*, long timeout_ms, void* self);

  loop::EventLoop& loop;
  ProxySettings proxies;
  TrustStore trust;
  CurlLibrary const* curl = nullptr;
  CURLM* multi = nullptr;
  std::optional<Error> load_error;
  std::unique_ptr<loop::Worker> loader;
  std::map<curl_socket_t, std::unique_ptr<loop::FdWatcher>> sockets;
  loop::Timer curl_timer;
  loop::Timer soon;
  std::unordered_map<uint64_t, std::unique_ptr<ActiveTransfer>> transfers;
  uint64_t next_id = 1;
  /// False once the client is gone: handlers may destroy it, and transfers may outlive it.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

namespace {

/// A new thread often starts on its maker's processor and shares it with it in slices of some milliseconds, though others are idle:
/// the load would then delay what it should run beside. Bound to the others for a moment, it is moved; then it may run anywhere again.
void move_to_another_cpu(int busy) {
  cpu_set_t allowed;
  if (busy < 0 || ::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<size_t>(busy), &others);
  if (CPU_COUNT(&others) == 0 || ::sched_setaffinity(0, sizeof others, &others) != 0) return;
  ::sched_setaffinity(0, sizeof allowed, &allowed);
}

/// What the caller holds.
class TransferHandle final : public Transfer {
 public:
  TransferHandle(std::shared_ptr<bool> client_alive, std::function<void()> cancel)
      : client_alive_(std::move(client_alive)), cancel_(std::move(cancel)) {}
  ~TransferHandle() override {
    if (*client_alive_) cancel_();
  }

 private:
  std::shared_ptr<bool> client_alive_;
  std::function<void()> cancel_;
};

}  // namespace

Client::Client(loop::EventLoop& loop, Environment const& environment) : impl_(std::make_unique<Impl>(loop, environment)) {}

Client::~Client() = default;

void Client::preload() { impl_->load(); }

std::unique_ptr<Transfer> Client::start(Request request, Handler& handler) {
  uint64_t id = impl_->next_id++;
  auto& transfer = *(impl_->transfers[id] = std::make_unique<ActiveTransfer>(id, std::move(request), handler));
  transfer.limit = std::make_unique<loop::Timer>(impl_->loop, [impl = impl_.get(), id] { impl->limit_passed(id); });
  if (auto checked = transfer.check(); !checked) {
    impl_->finish(transfer, Failure{.error = std::move(checked).error(), .phase = Phase::Setup});
    impl_->soon.start(0);
  } else {
    transfer.limit->start(transfer.limit_ms());
    if (impl_->curl != nullptr || impl_->load_error) {
      impl_->launch(transfer);
    } else {
      impl_->load();
    }
  }
  return std::make_unique<TransferHandle>(impl_->alive, [impl = impl_.get(), id] { impl->cancel(id); });
}

Client::Impl::~Impl() {
  *alive = false;
  loader.reset();
  for (auto& [id, transfer] : transfers) detach(*transfer);
  transfers.clear();
  if (multi != nullptr) curl->multi_cleanup(multi);
}

void Client::Impl::load() {
  if (curl != nullptr || load_error || loader) return;
  loader = std::make_unique<loop::Worker>(loop, "http-load");
  loader->run<Result<CurlLibrary const*>>([callers = ::sched_getcpu()] {
                                            move_to_another_cpu(callers);
                                            return CurlLibrary::load();
                                          },
                                          [this](Result<CurlLibrary const*> library) { loaded(std::move(library)); });
}

void Client::Impl::loaded(Result<CurlLibrary const*> library) {
  loader.reset();
  if (library) {
    curl = *library;
    multi = curl->multi_init();
    if (multi == nullptr) load_error = Error{Code::LimitReached, "libcurl has no memory for its connections"};
  } else {
    load_error = std::move(library).error();
  }
  if (multi != nullptr) {
    curl->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &Impl::on_socket);
    curl->multi_setopt(multi, CURLMOPT_SOCKETDATA, static_cast<void*>(this));
    curl->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &Impl::on_timer);
    curl->multi_setopt(multi, CURLMOPT_TIMERDATA, static_cast<void*>(this));
  }
  for (auto& [id, transfer] : transfers) {
    if (!transfer->outbox().done) launch(*transfer);
  }
  // The first requests are on their way now, not a round of the loop later.
  if (multi != nullptr && !transfers.empty()) act(CURL_SOCKET_TIMEOUT, 0);
}

void Client::Impl::launch(ActiveTransfer& transfer) {
  std::optional<Error> error = load_error;
  if (!error) {
    if (auto prepared = transfer.prepare(*curl, proxies, trust); !prepared) {
      error = std::move(prepared).error();
    } else if (CURLMcode code = curl->multi_add_handle(multi, transfer.easy()); code != CURLM_OK) {
      error = Error{Code::Internal, std::string("libcurl refuses the request: ") + curl->multi_strerror(code)};
    } else {
      transfer.added = true;
    }
  }
  if (!error) return;
  finish(transfer, Failure{.error = std::move(*error), .phase = Phase::Setup});
  soon.start(0);
}

int Client::Impl::on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
  auto& impl = *static_cast<Impl*>(self);
  if (what == CURL_POLL_REMOVE) {
    impl.sockets.erase(socket);
    return 0;
  }
  uint32_t interest = 0;
  if ((what & CURL_POLL_IN) != 0) interest |= loop::FdWatcher::kRead;
  if ((what & CURL_POLL_OUT) != 0) interest |= loop::FdWatcher::kWrite;
  auto& watcher = impl.sockets[socket];
  if (watcher) {
    watcher->set_interest(interest);
  } else {
    watcher = std::make_unique<loop::FdWatcher>(impl.loop, socket, interest, [self = &impl, socket](uint32_t ready) {
      int bits = 0;
      if ((ready & loop::FdWatcher::kRead) != 0) bits |= CURL_CSELECT_IN;
      if ((ready & loop::FdWatcher::kWrite) != 0) bits |= CURL_CSELECT_OUT;
      self->act(socket, bits);
    });
  }
  return 0;
}

int Client::Impl::on_timer(CURLM*, long timeout_ms, void* self) {
  auto& impl = *static_cast<Impl*>(self);
  if (timeout_ms < 0) {
    impl.curl_timer.cancel();
  } else {
    impl.curl_timer.start(timeout_ms);
  }
  return 0;
}

void Client::Impl::act(curl_socket_t socket, int ready) {
  int running = 0;
  CURLMcode code = curl->multi_socket_action(multi, socket, ready, &running);
  if (code != CURLM_OK) log::warn(std::string("libcurl: ") + curl->multi_strerror(code));
  collect_finished();
  deliver();
}

void Client::Impl::collect_finished() {
  int left = 0;
  while (CURLMsg const* message = curl->multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode code = message->data.result;  // the message dies with the handle's removal
    ActiveTransfer* transfer = nullptr;
    curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    finish(*transfer, transfer->result(code));
  }
}

void Client::Impl::finish(ActiveTransfer& transfer, std::optional<Failure> failure) {
  transfer.limit->cancel();
  transfer.outbox().done = true;
  transfer.outbox().failure = std::move(failure);
  detach(transfer);
}

void Client::Impl::limit_passed(uint64_t id) {
  auto found = transfers.find(id);
  if (found == transfers.end()) return;
  finish(*found->second, found->second->timed_out());
  deliver();
}

void Client::Impl::deliver() {
  auto still_alive = alive;
  std::vector<uint64_t> ids;
  for (auto& [id, transfer] : transfers) {
    auto& outbox = transfer->outbox();
    if (std::exchange(outbox.progress, false) && !outbox.done) transfer->limit->start(transfer->limit_ms());
    if (!outbox.empty()) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  for (uint64_t id : ids) {
    while (deliver_one(id)) {
      if (!*still_alive) return;
    }
    if (!*still_alive) return;
  }
}

/// Calls the handler once. Returns whether there may be more for it; `this` may be gone afterwards.
bool Client::Impl::deliver_one(uint64_t id) {
  auto found = transfers.find(id);
  if (found == transfers.end() || found->second->outbox().empty()) return false;
  ActiveTransfer& transfer = *found->second;
  Handler& handler = transfer.handler();
  auto& outbox = transfer.outbox();
  if (outbox.response) {
    Response response = *std::exchange(outbox.response, std::nullopt);
    handler.on_response(response);
  } else if (!outbox.body.empty()) {
    std::string body = std::exchange(outbox.body, {});
    handler.on_body(body);
  } else {
    std::optional<Failure> failure = std::move(outbox.failure);
    transfers.erase(found);
    handler.on_done(std::move(failure));
    return false;
  }
  return true;
}

void Client::Impl::detach(ActiveTransfer& transfer) {
  if (std::exchange(transfer.added, false)) curl->multi_remove_handle(multi, transfer.easy());
}

void Client::Impl::cancel(uint64_t id) {
  auto found = transfers.find(id);
  if (found == transfers.end()) return;
  detach(*found->second);
  transfers.erase(found);
}

}  // namespace insomnia::http
