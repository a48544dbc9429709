// What a model call costs beside the network: decoding of streams of each wire format, building of requests of a long session, and admission by the ledger.
// Usage: llm_bench [ROUNDS]
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "llm/scheme/anthropic.hh"
#include "llm/scheme/gemini.hh"
#include "llm/scheme/openai_chat.hh"
#include "llm/scheme/openai_responses.hh"
#include "measure.hh"
#include "testing/recorded_stream.hh"
#include "testing/temp_dir.hh"
#include "usage/ledger.hh"

namespace insomnia::bench {
namespace {

std::unique_ptr<llm::Scheme> scheme_of(std::string_view name) {
  if (name == "anthropic") return llm::make_anthropic_scheme();
  if (name == "gemini") return llm::make_gemini_scheme();
  return name == "openai_chat" ? llm::make_openai_chat_scheme() : llm::make_openai_responses_scheme();
}

/// All recorded answers of a format, again and again, up to about 16 MB.
void decoding(std::string const& scheme_name, int rounds) {
  std::vector<std::string> bodies;
  for (auto const& name : testing::recorded_conversations()) {
    if (!name.starts_with(scheme_name + "/")) continue;
    for (auto const& call : testing::recorded_conversation(name).calls) bodies.push_back(call.body);
  }
  size_t bytes = 0;
  for (auto const& body : bodies) bytes += body.size();
  size_t times = (16u << 20) / bytes + 1;
  auto scheme = scheme_of(scheme_name);
  Samples floor, samples;
  for (int round = 0; round < rounds; ++round) {
    size_t lines = 0;
    Time start = now();
    for (size_t i = 0; i < times; ++i) {
      for (auto const& body : bodies) {
        for (char const* at = body.data(); (at = static_cast<char const*>(std::memchr(at, '\n', body.data() + body.size() - at))) != nullptr; ++at) ++lines;
      }
    }
    floor.add(ms(start, now()));
    if (lines == 0) std::exit(1);
    start = now();
    for (size_t i = 0; i < times; ++i) {
      for (auto const& body : bodies) {
        http::SseParser parser;
        auto decoder = scheme->decoder();
        std::vector<http::SseEvent> events;
        std::vector<llm::StreamEvent> out;
        std::string_view rest = body;
        // As it comes from a socket.
        for (; !rest.empty(); rest.remove_prefix(std::min<size_t>(rest.size(), 4096))) {
          events.clear();
          out.clear();
          if (!parser.feed(rest.substr(0, 4096), events)) std::exit(1);
          for (auto const& event : events) {
            if (decoder->decode(event, out)) std::exit(1);
          }
        }
      }
    }
    samples.add(ms(start, now()));
  }
  print("floor: the lines of " + std::to_string(bytes * times >> 20) + " MB counted", floor);
  print(scheme_name + ": the same decoded", samples);
  std::printf("    %.0f MB/s\n", static_cast<double>(bytes * times) / 1e6 / (samples.median() / 1000));
}

void requests(std::string const& scheme_name, int rounds) {
  std::vector<wire::Item> items;
  for (int i = 0; i < 250; ++i) {
    items.push_back(wire::user_message("Please look at file number " + std::to_string(i) + " and say what it does."));
    items.push_back(wire::assistant_message("I look at it now, and tell you what I find."));
    items.emplace_back(wire::ToolCall{"call_" + std::to_string(i), "Read", R"({"file_path":"/w/src/some/where/file.cc"})"});
    items.emplace_back(wire::ToolResult{"call_" + std::to_string(i), "Read 60 lines", std::string(2'000, 'x') + "\n\"quoted\"\t", false});
  }
  llm::ModelConfig model;
  model.scheme = scheme_name;
  model.model_id = "m";
  model.base_url = "https://h/v1";
  auto scheme = scheme_of(scheme_name);
  Samples floor, samples;
  size_t size = 0;
  for (int round = 0; round < rounds; ++round) {
    Time start = now();
    std::string body = scheme->body({.system_prompt = "S", .items = items, .tools = {}, .config = {}, .cache_anchor = {}, .cache_key = ""}, model);
    samples.add(ms(start, now()));
    size = body.size();
    start = now();
    std::string copy = body;
    floor.add(ms(start, now()));
    if (copy.size() != size) std::exit(1);
  }
  print("floor: a copy of " + std::to_string(size >> 10) + " KB", floor);
  print(scheme_name + ": a request of 1,000 items", samples);
}

void admission(int rounds) {
  testing::TempDir directory;
  auto ledger = usage::Ledger::open(directory.path() + "/usage.db");
  if (!ledger) std::exit(1);
  std::vector<manifest::Account> payers;
  for (int i = 0; i < 4; ++i) payers.push_back({"pod" + std::to_string(i), "pod", 0, {UINT64_MAX / 4, {}, {}}});
  Samples admit, settle;
  for (int i = 0; i < rounds * 20; ++i) {
    usage::Demand demand{.id = "c" + std::to_string(i), .payers = payers, .provider = "p", .model = "m", .gate = "p", .input_tokens = 100, .output_tokens = 10, .cost = 5};
    Time start = now();
    if (!(*ledger)->admit(demand, 1, 0)) std::exit(1);
    admit.add(ms(start, now()));
    start = now();
    if (!(*ledger)->settle({.id = demand.id, .usage = {.input_tokens = 90, .output_tokens = 9}, .cost = 4, .failed = false}, payers)) std::exit(1);
    settle.add(ms(start, now()));
  }
  print("the ledger admits a call, four payers", admit);
  print("and settles it (in a thread of its own)", settle);
}

}  // namespace
}  // namespace insomnia::bench

int main(int argc, char** argv) {
  using namespace insomnia::bench;
  int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
  Conditions conditions;
  for (char const* scheme : {"anthropic", "openai_chat", "openai_responses", "gemini"}) decoding(scheme, rounds);
  for (char const* scheme : {"anthropic", "openai_chat", "openai_responses", "gemini"}) requests(scheme, rounds);
  admission(rounds);
  return 0;
}
