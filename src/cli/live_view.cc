#include "cli/live_view.hh"

#include <unistd.h>

#include <boost/json.hpp>

#include "base/json.hh"

namespace insomnia::cli {

LiveView::LiveView(loop::EventLoop& loop, std::string const& pod_name, std::string const& socket_path,
                   LiveViewOptions options, Output& output, Handler handler)
    : options_(std::move(options)),
      output_(output),
      handler_(std::move(handler)),
      renderer_(options_.render),
      tree_(loop, pod_name, socket_path, options_.follow_children,
            {.on_event =
                 [this](client::PodOrigin const& origin, wire::Event const& event) {
                   if (options_.observer) options_.observer(origin.pod_name, event);
                   if (!options_.quiet && !options_.json) write(renderer_.event(origin, event));
                   if (handler_.on_event) handler_.on_event(origin, event);
                   if (origin.depth == 0 && handler_.on_root_event) handler_.on_root_event(event);
                 },
             .on_line =
                 [this](client::PodOrigin const& origin, std::string_view line) {
                   if (options_.quiet || !options_.json) return;
                   write((origin.depth == 0 ? std::string(line) : with_pod_field(line, origin.pod_name)) +
                         "\n");
                 },
             .on_root_closed =
                 [this](Error const& error) {
                   if (handler_.on_root_closed) handler_.on_root_closed(error);
                 }}) {}

void LiveView::write(std::string const& text) {
  if (text.empty() || output_.write(text) || told_closed_) return;
  told_closed_ = true;
  if (handler_.on_output_closed) handler_.on_output_closed();
}

void LiveView::finish(std::optional<int64_t> elapsed_ms) {
  if (options_.quiet || options_.json) return;
  std::string text = renderer_.finish();
  if (elapsed_ms) {
    std::string summary = renderer_.summary(*elapsed_ms);
    text += options_.render.colour ? "\x1b[2m" + summary + "\x1b[0m\n" : summary + "\n";
  }
  write(text);
}

std::string with_pod_field(std::string_view line, std::string_view pod_name) {
  std::string result = R"({"pod":)" + json::dump(boost::json::value(boost::json::string(pod_name)));
  if (!line.starts_with('{')) return std::string(line);
  line.remove_prefix(1);
  if (!line.starts_with('}')) result += ',';
  return result + std::string(line);
}

RenderOptions render_options(Environment const& environment, std::string cwd) {
  Terminal terminal = terminal_of(STDOUT_FILENO, environment);
  return {.colour = terminal.colour, .width = terminal.width, .cwd = std::move(cwd)};
}

}  // namespace insomnia::cli
