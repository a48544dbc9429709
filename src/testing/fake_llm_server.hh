#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace insomnia::testing {

/// A request as it arrived. Header names are lower-case.
struct RecordedRequest {
  std::string method;
  std::string path;  ///< the request target; a whole URL when the client takes us for a proxy
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  size_t connection = 0;  ///< number of the connection, from 1
  std::optional<std::string> header(std::string_view name) const;
};

/// One step of a reply's body.
struct Piece {
  enum class Kind {
    Bytes,  ///< send `text`
    Gate,   ///< wait until the test opens the gate called `text`
    Stall,  ///< send nothing more, keep the connection
    Cut,    ///< close the connection in the middle of the body
  };
  Kind kind = Kind::Bytes;
  std::string text;
  static Piece bytes(std::string text) { return {Kind::Bytes, std::move(text)}; }
  static Piece gate(std::string name) { return {Kind::Gate, std::move(name)}; }
  static Piece stall() { return {Kind::Stall, ""}; }
  static Piece cut() { return {Kind::Cut, ""}; }
};

struct Reply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<Piece> pieces;
  std::string head_gate;  ///< not empty: status and headers wait for this gate too
  bool keep_alive = true;
};

/// A real HTTP/1.1 server on 127.0.0.1 with a free port, in a thread of its own, that answers by script. For any number of
/// connections at once. All functions may be called from any thread; every wait has a deadline and returns whether it was met.
///
/// A request is answered by the first rule that fits and has a reply left, else by the common queue, else by the handler, else
/// with status 500 and a text that says so.
class FakeLlmServer {
 public:
  using Handler = std::function<Reply(RecordedRequest const&)>;
  using Match = std::function<bool(RecordedRequest const&)>;

  FakeLlmServer();
  ~FakeLlmServer();
  FakeLlmServer(FakeLlmServer const&) = delete;
  FakeLlmServer& operator=(FakeLlmServer const&) = delete;

  uint16_t port() const;
  /// "http://127.0.0.1:PORT"
  std::string url() const;

  /// Adds a reply to the common queue.
  void enqueue(Reply reply);
  /// Adds a reply for requests whose body contains `text`. Rules keep the order in which their texts were first named.
  void enqueue_for(std::string const& text, Reply reply);
  /// Answers all requests that fit, without end; called on the server's thread.
  void answer(Match match, Handler handler);
  /// Answers what nothing else does; called on the server's thread.
  void answer_all(Handler handler);

  void open_gate(std::string const& name);
  /// Waits until a reply stands before the gate.
  bool wait_for_gate(std::string const& name, int64_t deadline_ms = 10'000) const;

  bool wait_for_requests(size_t count, int64_t deadline_ms = 10'000) const;
  std::vector<RecordedRequest> requests() const;
  /// Connections accepted so far.
  size_t connections() const;
  /// Waits until no connection is open.
  bool wait_for_no_connections(int64_t deadline_ms = 10'000) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A port on 127.0.0.1 at which nobody listens.
uint16_t dead_port();

}  // namespace insomnia::testing
