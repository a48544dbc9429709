#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/output.hh"
#include "cli/render.hh"
#include "client/pod_tree.hh"

namespace insomnia::cli {

struct LiveViewOptions {
  bool json = false;   ///< event lines instead of text
  bool quiet = false;  ///< nothing at all
  bool follow_children = true;
  RenderOptions render;
  std::function<void(std::string const& pod, wire::Event const& event)> observer;
};

/// A Pod and its descendants on stdout, as they work. Driven by the loop; callbacks must not destroy it.
class LiveView {
 public:
  struct Handler {
    std::function<void(wire::Event const&)> on_root_event;
    /// Those of every Pod (optional), before on_root_event.
    std::function<void(client::PodOrigin const&, wire::Event const&)> on_event = nullptr;
    std::function<void(Error const&)> on_root_closed;
    /// Once: the reader of our output has gone.
    std::function<void()> on_output_closed;
  };

  LiveView(loop::EventLoop& loop, std::string const& pod_name, std::string const& socket_path,
           LiveViewOptions options, Output& output, Handler handler);

  void send(wire::Method const& method) { tree_.send_to_root(method); }
  void send_to(std::string const& pod_name, wire::Method const& method) { tree_.send_to(pod_name, method); }
  void end_sending() { tree_.end_sending(); }
  bool flushed() const { return tree_.flushed(); }
  /// Ends what is open on the screen; `elapsed_ms`: adds the line with the totals.
  void finish(std::optional<int64_t> elapsed_ms);

 private:
  void write(std::string const& text);

  LiveViewOptions options_;
  Output& output_;
  Handler handler_;
  Renderer renderer_;
  bool told_closed_ = false;
  client::PodTree tree_;
};

/// An event line with a top-level "pod" field put in front: how a child's lines look in --json. Pure.
std::string with_pod_field(std::string_view line, std::string_view pod_name);

/// How this process's stdout wants to be rendered to.
RenderOptions render_options(Environment const& environment, std::string cwd);

}  // namespace insomnia::cli
