#include "testing/recorded_stream.hh"

#include <boost/json.hpp>

#include "base/error.hh"
#include "base/io.hh"
#include "base/json.hh"

namespace insomnia::testing {
namespace {

std::string folder() { return std::string(INSOMNIA_SOURCE_DIR) + "/tests/fixtures/provider-streams"; }

}  // namespace

std::vector<std::string> recorded_conversations() {
  std::vector<std::string> result;
  for (std::string scheme : {"anthropic", "gemini", "openai_chat", "openai_responses"}) {
    for (auto const& name : io::list_directory(folder() + "/" + scheme).value_or(std::vector<std::string>{})) result.push_back(scheme + "/" + name);
  }
  std::sort(result.begin(), result.end());
  return result;
}

RecordedConversation recorded_conversation(std::string const& name) {
  auto document = json::parse_object(io::read_file(folder() + "/" + name).value_or(""));
  if (!document) panic("no recorded conversation " + name);
  RecordedConversation result{name.substr(0, name.find('/')), {}};
  for (auto const& call : document->at("calls").as_array()) {
    result.calls.push_back({std::string(call.at("url").as_string()), json::dump(call.at("request")), std::string(call.at("body").as_string())});
  }
  return result;
}

std::string recorded_test_name(std::string const& name) {
  std::string result;
  for (char c : name.substr(0, name.size() - 5)) result += (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ? c : '_';
  return result;
}

}  // namespace insomnia::testing
