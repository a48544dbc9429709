#include "llm/local_model.hh"

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.hh"
#include "http/client.hh"
#include "llm/catalogue.hh"
#include "llm/scheme/json_view.hh"
#include "loop/event_loop.hh"

namespace insomnia::llm {
namespace {

constexpr int64_t kWaitMs = 500;
constexpr size_t kMaxAnswer = 1 << 20;

class Answer final : public http::Handler {
 public:
  void on_response(http::Response const& response) override { good_ = response.status == 200; }
  void on_body(std::string_view bytes) override { body += bytes.substr(0, kMaxAnswer - body.size()); }
  void on_done(std::optional<http::Failure> failure) override {
    done = true;
    good_ = good_ && !failure;
  }
  bool good() const { return done && good_; }
  std::string body;
  bool done = false;

 private:
  bool good_ = false;
};

}  // namespace

std::optional<std::string> choose_local_model(std::string const& tags_json) {
  auto parsed = json::parse_object(tags_json);
  if (!parsed) return std::nullopt;
  std::string best, used;
  for (auto const& model : JsonView(&*parsed).children("models")) {
    std::string name = model.string("model").empty() ? model.string("name") : model.string("model");
    // Those that only embed can't talk, and those that say what they can do without tools can't work.
    bool talks = name.find("embed") == name.npos;
    auto const* abilities = model.find("capabilities");
    if (abilities != nullptr && abilities->is_array()) {
      talks = std::any_of(abilities->get_array().begin(), abilities->get_array().end(), [](auto const& ability) { return ability.is_string() && ability.get_string() == "tools"; });
    }
    std::string when = model.string("modified_at");
    if (name.empty() || !talks || (!best.empty() && when <= used)) continue;
    best = name;
    used = when;
  }
  if (best.empty()) return std::nullopt;
  if (best.ends_with(":latest")) best.resize(best.size() - 7);
  return best;
}

std::optional<std::string> local_model(Environment const& environment) {
  ModelConfig ollama;
  ollama.provider_id = "ollama-local";
  ollama.base_url = "http://127.0.0.1:11434";
  std::string url = effective_base_url(ollama, environment);
  while (url.ends_with('/')) url.pop_back();
  SystemClock clock;
  loop::EventLoop loop(clock);
  http::Client client(loop, environment);
  Answer answer;
  http::Request request;
  request.method = "GET";
  request.url = url + "/api/tags";
  request.limits = {.connect_ms = kWaitMs, .first_byte_ms = kWaitMs, .idle_ms = kWaitMs};
  auto transfer = client.start(std::move(request), answer);
  int64_t end = clock.steady_ms() + kWaitMs;
  while (!answer.done && clock.steady_ms() < end) loop.run_once(end - clock.steady_ms());
  if (!answer.good()) return std::nullopt;
  return choose_local_model(answer.body);
}

}  // namespace insomnia::llm
