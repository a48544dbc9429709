#include "llm/scheme/http_provider.hh"

#include <utility>

#include "base/text.hh"
#include "http/client.hh"
#include "llm/call_gate.hh"

namespace insomnia::llm {

namespace {

constexpr size_t kMaxErrorBody = 64 << 10;
/// How long the connection may take to end after the stream's terminal event: if it does, it can be used again.
constexpr int64_t kLingerMs = 1'000;
/// The densest that text usually is; what a request counts at most.
constexpr uint64_t kBytesPerToken = 2;

std::string duration(int64_t ms) {
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

/// How long to wait before the next call, where the vendor's headers say that nothing is left until then.
std::optional<int64_t> wait_of(http::Response const& response, int64_t now_wall_ms) {
  if (auto wait = response.header("retry-after")) return parse_retry_after(*wait, now_wall_ms);
  std::optional<int64_t> longest;
  for (auto [remaining, reset] : {std::pair{"x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"},
                                  {"x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"},
                                  {"anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"},
                                  {"anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"},
                                  {"anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"},
                                  {"ratelimit-remaining", "ratelimit-reset"}}) {
    auto left = response.header(remaining);
    if (!left || text::trim(*left) != "0") continue;
    auto wait = parse_reset(response.header(reset).value_or(""), now_wall_ms);
    if (wait) longest = std::max(longest.value_or(0), *wait);
  }
  return longest;
}

CallFailure transport_failure(http::Failure failure) {
  bool retryable = failure.timeout || failure.error.code == Code::Unavailable || failure.error.code == Code::Timeout;
  return {.error = std::move(failure.error), .retryable = retryable};
}

class HttpCall final : public Call, private http::Handler {
 public:
  HttpCall(loop::EventLoop& loop, Scheme const& scheme, CallHandler& handler, StreamLimits limits, std::string url,
           std::string key, std::string origin, Scheme::Headers headers)
      : loop_(loop),
        scheme_(scheme),
        handler_(handler),
        limits_(limits),
        url_(std::move(url)),
        key_(std::move(key)),
        origin_(std::move(origin)),
        headers_(std::move(headers)),
        decoder_(scheme.decoder()),
        timer_(loop, [this] { time_passed(); }),
        total_(loop, [this] {
          if (!completed_) end(CallFailure{.error = {Code::Timeout, url_ + ": the call took longer than " + duration(limits_.total_ms)}, .retryable = false});
        }) {}
  ~HttpCall() override {
    *alive_ = false;
    settle(std::nullopt);  // it was cancelled: what has come is paid for
  }

  /// Begins when the gate lets it through.
  void enter(http::Client& client, CallGate& gate, CallDemand demand, std::string body) {
    pass_ = gate.enter(demand, [this, &client, body = std::move(body)](std::optional<CallFailure> refused) mutable {
      if (!refused) return start(client, std::move(body));
      pass_given_up_ = true;
      fail_soon(*std::move(refused));
    });
  }

  void start(http::Client& client, std::string body) {
    http::Request request;
    request.url = url_;
    request.headers = {{"content-type", "application/json"}, {"accept", "text/event-stream"}};
    scheme_.add_headers(key_, request.headers);
    request.headers.insert(request.headers.end(), headers_.begin(), headers_.end());
    request.body = std::move(body);
    // The phases after the connection are watched here, where an event is known from mere bytes.
    request.limits = {.connect_ms = limits_.connect_ms,
                      .first_byte_ms = limits_.first_event_ms + 60'000,
                      .idle_ms = std::max(limits_.first_event_ms, limits_.idle_ms) + 60'000};
    timer_.start(limits_.first_event_ms);
    if (limits_.total_ms > 0) total_.start(limits_.total_ms);
    transfer_begun_ = true;
    transfer_ = client.start(std::move(request), *this);
  }

  /// Fails on the loop's next round.
  void fail_soon(CallFailure failure) {
    planned_ = std::move(failure);
    timer_.start(0);
  }

 private:
  void on_response(http::Response const& response) override {
    response_ = response;
    bool success = response.status >= 200 && response.status < 300;
    streaming_ = success && (response.content_type.empty() || response.content_type.starts_with("text/event-stream"));
  }

  void on_body(std::string_view bytes) override {
    if (!streaming_) {
      error_body_ += bytes.substr(0, kMaxErrorBody - error_body_.size());
      return;
    }
    if (completed_) return;
    std::vector<http::SseEvent> events;
    Result<void> fed = parser_.feed(bytes, events);
    auto alive = alive_;
    for (auto const& event : events) {
      if (!take(event, *alive)) return;
    }
    if (!fed && !completed_) end(CallFailure{.error = std::move(fed).error().with_context(url_)});
  }

  /// Returns false when the call has ended or is destroyed.
  bool take(http::SseEvent const& event, bool const& alive) {
    if (completed_) return true;
    seen_event_ = true;
    timer_.start(limits_.idle_ms);
    std::vector<StreamEvent> out;
    auto failure = decoder_->decode(event, out);
    if (!deliver(out, alive)) return false;
    if (completed_) return true;
    if (!failure) return true;
    end(std::move(failure));
    return false;
  }

  /// Returns false when the call is destroyed.
  bool deliver(std::vector<StreamEvent>& events, bool const& alive) {
    for (auto& item : events) {
      if (std::holds_alternative<Completed>(item)) {
        completed_ = true;
        timer_.start(kLingerMs);
      }
      if (auto* reasoning = std::get_if<ReasoningDone>(&item)) reasoning->item.origin = origin_;
      count(item);
      handler_.on_event(item);
      if (!alive) return false;
      if (completed_) return true;
    }
    return true;
  }

  /// For whoever pays.
  void count(StreamEvent const& event) {
    outcome_.answered = true;
    if (auto const* delta = std::get_if<BlockDelta>(&event)) outcome_.output_bytes += delta->text.size();
    auto const* usage = std::get_if<Usage>(&event);
    if (usage == nullptr) return;
    auto keep = [](auto& kept, auto const& newer) {
      if (newer) kept = newer;
    };
    keep(outcome_.usage.input_tokens, usage->input_tokens);
    keep(outcome_.usage.output_tokens, usage->output_tokens);
    keep(outcome_.usage.cache_read_input_tokens, usage->cache_read_input_tokens);
    keep(outcome_.usage.cache_creation_input_tokens, usage->cache_creation_input_tokens);
  }

  void settle(std::optional<CallFailure> const& failure) {
    if (!pass_ || pass_given_up_ || !transfer_begun_) return;
    outcome_.completed = completed_;
    outcome_.failure = failure;
    outcome_.wait_ms = wait_of(response_, loop_.clock().wall_ms());
    std::exchange(pass_, nullptr)->finish(std::move(outcome_));
  }

  void on_done(std::optional<http::Failure> failure) override {
    if (completed_) return end(std::nullopt);
    if (failure) return end(transport_failure(std::move(*failure)));
    if (!streaming_) return end(refusal());
    std::vector<StreamEvent> out;
    decoder_->end(out);
    auto alive = alive_;
    if (!deliver(out, *alive)) return;
    if (!seen_event_) {
      return end(CallFailure{.error = {Code::Unavailable, url_ + ": the stream ended before its first event"},
                             .status = response_.status,
                             .retryable = true});
    }
    end(std::nullopt);
  }

  /// What an answer that is no event stream means.
  CallFailure refusal() const {
    bool success = response_.status >= 200 && response_.status < 300;
    ApiError error = scheme_.parse_error(error_body_);
    if (!success) return status_failure(response_, error, url_, loop_.clock().wall_ms());
    std::string type = text::one_line(text::to_utf8(response_.content_type), 100);
    return {.error = {Code::Unsupported, url_ + ": answered with " + type + " instead of an event stream (" +
                                             text::one_line(error.message, 200) + "); is base_url right?"},
            .status = response_.status,
            .api_code = error.code};
  }

  void time_passed() {
    if (completed_) return end(std::nullopt);
    if (planned_) return end(std::move(planned_));
    std::string what = seen_event_ ? "the stream stood still for " + duration(limits_.idle_ms)
                                   : "no event of the stream within " + duration(limits_.first_event_ms);
    end(CallFailure{.error = {Code::Timeout, url_ + ": " + what}, .retryable = true});
  }

  /// The last call to the handler, which may destroy this.
  void end(std::optional<CallFailure> failure) {
    timer_.cancel();
    total_.cancel();
    transfer_.reset();
    settle(failure);
    if (failure) {
      failure->mid_stream = seen_event_;
      // Servers quote requests in their errors.
      if (!key_.empty()) failure->error.message = text::replace_all(failure->error.message, key_, "(the key)");
    }
    handler_.on_end(std::move(failure));
  }

  loop::EventLoop& loop_;
  Scheme const& scheme_;
  CallHandler& handler_;
  StreamLimits limits_;
  std::string url_;
  std::string key_;
  std::string origin_;
  Scheme::Headers headers_;
  http::SseParser parser_;
  std::unique_ptr<Decoder> decoder_;
  loop::Timer timer_;
  loop::Timer total_;
  http::Response response_;
  std::string error_body_;
  bool streaming_ = false;
  bool seen_event_ = false;
  bool completed_ = false;
  std::optional<CallFailure> planned_;
  std::unique_ptr<http::Transfer> transfer_;
  std::unique_ptr<CallGate::Pass> pass_;
  bool pass_given_up_ = false;
  bool transfer_begun_ = false;
  CallOutcome outcome_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// What the provider's row adds, and whose account it is.
Scheme::Headers more_headers(ModelConfig const& model, Environment const& environment) {
  Scheme::Headers headers = model.headers;
  if (model.provider_id != "openai") return headers;
  auto add = [&](std::string_view header, std::initializer_list<char const*> names) {
    for (auto const* name : names) {
      auto value = environment.get(name);
      std::string_view id = text::trim(value ? std::string_view(*value) : std::string_view());
      if (!id.empty() && id.find_first_of("\r\n") == id.npos) return headers.emplace_back(header, id), void();
    }
  };
  add("OpenAI-Organization", {"OPENAI_ORG_ID", "OPENAI_ORGANIZATION"});
  add("OpenAI-Project", {"OPENAI_PROJECT_ID", "OPENAI_PROJECT"});
  return headers;
}

}  // namespace

HttpProvider::HttpProvider(ModelConfig model, std::unique_ptr<Scheme> scheme, ProviderContext const& context)
    : model_(std::move(model)),
      scheme_(std::move(scheme)),
      context_(context),
      base_url_(effective_base_url(model_, context.environment)) {
  if (base_url_.empty()) base_url_ = scheme_->default_base_url();
  // What is said of an address counts for what the environment puts in its place.
  if (!model_.base_url_is_set && base_url_ != model_.base_url) model_.base_url = base_url_;
}

std::unique_ptr<Call> HttpProvider::call(Request const& request, CallHandler& handler) {
  Result<std::string> key = resolve_key(model_, context_.environment);
  auto call = std::make_unique<HttpCall>(context_.loop, *scheme_, handler, context_.limits.value_or(model_.limits),
                                         scheme_->url(base_url_, model_), key.value_or(""), origin_of(model_), more_headers(model_, context_.environment));
  if (!key) {
    call->fail_soon({.error = std::move(key).error()});
  } else if (context_.gate == nullptr) {
    call->start(context_.http, scheme_->body(request, model_));
  } else {
    Request limited = request;
    uint64_t longest = request.config.max_tokens.value_or(model_.default_max_tokens);
    if (auto limit = context_.gate->output_limit(estimated_body_size(request) / kBytesPerToken); limit && *limit < longest) {
      longest = *limit;
      limited.config.max_tokens = static_cast<uint32_t>(longest);
    }
    auto const* thinking = request.config.reasoning ? std::get_if<int64_t>(&*request.config.reasoning) : nullptr;
    if (thinking != nullptr && *thinking > 0) longest += static_cast<uint64_t>(*thinking);
    std::string body = scheme_->body(limited, model_);
    uint64_t input = body.size() / kBytesPerToken;
    call->enter(context_.http, *context_.gate, {input, longest}, std::move(body));
  }
  return call;
}

}  // namespace insomnia::llm
