#include "profile/lua_profile.hh"

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/confined_file.hh"
#include "base/json.hh"
#include "base/text.hh"
#include "loop/child.hh"
#include "profile/lua_host.hh"

namespace insomnia::profile {
namespace bj = boost::json;

namespace {

constexpr size_t kMaxModules = 100;
constexpr size_t kMaxSource = 1 << 20;
/// A host that gives no sign of life: it is stopped, or the machine is.
constexpr time_t kSilenceSecs = 20;

bool is_name(std::string_view part) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !part.empty() && letter(part[0]) && std::all_of(part.begin(), part.end(), [&](char c) { return letter(c) || digit(c); });
}

/// What Lua's own reader of files leaves out, too: a byte order mark, and a first line for the shell. The lines keep their numbers.
std::string as_source(std::string text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (text.starts_with(kMark)) text.erase(0, kMark.size());
  if (text.starts_with('#')) text.insert(0, "--");
  return text;
}

Result<LuaChunk> find_module(std::string const& directory, std::string const& name) {
  std::string shown = text::one_line(name, 80);
  if (name.empty()) return fail(Code::InvalidArgument, "empty module name");
  auto parts = text::split(name, '.');
  if (!std::all_of(parts.begin(), parts.end(), is_name)) return fail(Code::InvalidArgument, "invalid local module name `" + shown + "`: names joined by dots");
  std::string relative = text::replace_all(name, ".", "/") + ".lua";
  std::string path = directory + "/" + relative;
  auto content = io::read_confined_file(directory, relative, kMaxSource);
  if (!content && content.error().code == Code::PermissionDenied)
    return fail(Code::PermissionDenied, "local module `" + shown + "` escapes profile directory: " + content.error().message);
  if (!content) return fail(Code::Unavailable, "failed to read local module `" + shown + "` (" + path + "): " + content.error().message);
  if (!*content) return fail(Code::NotFound, "local module `" + shown + "` not found: there is no " + path);
  return LuaChunk{path, as_source(**std::move(content))};
}

/// The conversation with one host.
class Evaluation {
 public:
  Evaluation(StartedHost host, std::string const& directory, std::vector<LuaChunk>& sources)
      : host_(std::move(host)), channel_(host_.socket.get()), directory_(directory), sources_(sources) {
    timeval silence{.tv_sec = kSilenceSecs, .tv_usec = 0};
    ::setsockopt(host_.socket.get(), SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
  }

  /// The last line.
  Result<bj::object> run() {
    TRY(send({{"run", chunk(sources_.front())}}));
    for (;;) {
      auto next = channel_.next();
      // It died before it had read an answer.
      if (!next && next.error().os_errno == ECONNRESET) return ended();
      if (!next && next.error().os_errno == EAGAIN) return fail(Code::Timeout, "the process that evaluates it gives no sign of life");
      auto line = TRY(std::move(next));
      if (!line) return ended();
      bj::object message = TRY(json::parse_object(*line));
      auto const* module = message.if_contains("module");
      if (module == nullptr) return message;
      if (!module->is_string()) return fail(Code::Internal, "the profile's host asks for what is no module");
      TRY(answer(std::string(module->get_string())));
    }
  }

 private:
  static bj::object chunk(LuaChunk const& chunk) { return {{"name", chunk.name}, {"source", chunk.source}}; }
  Result<void> send(bj::object const& message) {
    auto sent = channel_.send(json::dump(message));
    if (!sent) return ended();
    return sent;
  }
  std::unexpected<Error> ended() { return fail(Code::LimitReached, host_.end()); }

  Result<void> answer(std::string const& name) {
    auto found = sources_.size() > kMaxModules ? Result<LuaChunk>(fail(Code::LimitReached, "a profile may have " + std::to_string(kMaxModules) + " modules"))
                                               : find_module(directory_, name);
    if (!found) return send({{"error", found.error().message}});
    sources_.push_back(*std::move(found));
    return send({{"module", chunk(sources_.back())}});
  }

  StartedHost host_;
  LineChannel channel_;
  std::string const& directory_;
  std::vector<LuaChunk>& sources_;
};

// ---- Places

/// One way that leads to a key in a text: the names around it, the key itself last.
struct Written {
  std::vector<std::string> names;
  size_t line = 0;
};

/// Reads as much of Lua as is needed to see where keys are written: strings, comments, names, braces.
class KeyScan {
 public:
  explicit KeyScan(std::string_view source) : source_(source) {}

  std::vector<Written> run() {
    while (at_ < source_.size()) step();
    return std::move(found_);
  }

 private:
  char look(size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  void advance(size_t count) {
    for (; count > 0 && at_ < source_.size(); --count) line_ += source_[at_++] == '\n' ? 1 : 0;
  }

  void step() {
    char c = look();
    if (c == '-' && look(1) == '-') {
      advance(2);
      if (!skip_long_bracket()) advance(std::min(source_.find('\n', at_), source_.size()) - at_);
    } else if (c == '"' || c == '\'') {
      std::string text = quoted(c);
      // ["key"] = …
      if (!last_.empty() && last_ == "[") pending_.push_back(std::move(text));
      last_ = "string";
    } else if (c == '[' && (look(1) == '[' || look(1) == '=') && skip_long_bracket()) {
      last_ = "string";
    } else if (is_name(std::string_view(&c, 1))) {
      size_t end = at_;
      while (end < source_.size() && (is_name(source_.substr(end, 1)) || (source_[end] >= '0' && source_[end] <= '9'))) ++end;
      std::string name(source_.substr(at_, end - at_));
      if (last_ != ".") pending_.clear();
      pending_.push_back(name);
      name_line_ = line_;
      advance(end - at_);
      last_ = "name";
    } else if (c == '=' && look(1) != '=' && last_ != "=" && last_ != "~" && last_ != "<" && last_ != ">") {
      if (!pending_.empty()) {
        Written written{{}, name_line_};
        for (auto const& level : braces_) written.names.insert(written.names.end(), level.begin(), level.end());
        written.names.insert(written.names.end(), pending_.begin(), pending_.end());
        found_.push_back(std::move(written));
      }
      assigned_ = std::exchange(pending_, {});
      advance(1);
      last_ = "=";
    } else if (c == '{') {
      // `key = {`, and `key = helper {`.
      braces_.push_back(std::exchange(assigned_, {}));
      pending_.clear();
      advance(1);
      last_ = "{";
    } else if (c == '}') {
      if (!braces_.empty()) braces_.pop_back();
      assigned_.clear();
      pending_.clear();
      advance(1);
      last_ = "}";
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      advance(1);
    } else {
      if (c == ',' || c == ';') assigned_.clear();
      if (c == '[') name_line_ = line_;
      if (c != '.' && c != '[' && c != ']') pending_.clear();
      last_ = std::string(1, c);
      advance(1);
    }
  }

  std::string quoted(char quote) {
    std::string text;
    advance(1);
    while (at_ < source_.size() && look() != quote && look() != '\n') {
      if (look() == '\\') advance(1);
      text += look();
      advance(1);
    }
    advance(1);
    return text;
  }

  /// [[…]], [=[…]=]
  bool skip_long_bracket() {
    if (look() != '[') return false;
    size_t level = 0;
    while (look(1 + level) == '=') ++level;
    if (look(1 + level) != '[') return false;
    std::string end = "]" + std::string(level, '=') + "]";
    auto close = source_.find(end, at_);
    advance(close == std::string_view::npos ? source_.size() - at_ : close + end.size() - at_);
    return true;
  }

  std::string_view source_;
  size_t at_ = 0, line_ = 1, name_line_ = 1;
  std::string last_;                   ///< kind of the last token
  std::vector<std::string> pending_;   ///< names just read: a.b.c
  std::vector<std::string> assigned_;  ///< names before the last `=`
  std::vector<std::vector<std::string>> braces_;
  std::vector<Written> found_;
};

/// The names in a path of a key, indices left out.
std::vector<std::string> names_in(std::string_view path) {
  std::vector<std::string> names;
  for (auto part : text::split(path, '.')) {
    std::string name(part.substr(0, part.find('[')));
    if (name.size() > 1 && name.front() == '"') name = name.substr(1, name.size() - 2);
    if (!name.empty()) names.push_back(std::move(name));
  }
  return names;
}

size_t common_end(std::vector<std::string> const& a, std::vector<std::string> const& b) {
  size_t count = 0;
  while (count < a.size() && count < b.size() && a[a.size() - 1 - count] == b[b.size() - 1 - count]) ++count;
  return count;
}

}  // namespace

StartHost host_process(std::string program) {
  return [program = std::move(program)]() -> Result<StartedHost> {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("make a socket", errno);
    UniqueFd ours(ends[0]), theirs(ends[1]);
    loop::Launch launch{.program = program, .argv = {program, "lua", "profile"}};
    launch.descriptors = {{theirs.get(), 3}};
    auto child = std::make_shared<loop::Child>(TRY(loop::Child::start(launch)));
    return StartedHost{std::move(ours), [child]() -> std::string {
                         auto status = child->wait(1000);
                         if (status && status->signalled && status->value == SIGXCPU)
                           return "it ran for more than one second of processor time, which is all that a profile has";
                         return "the process that evaluates it ended too early" + (status ? ": " + status->describe() : std::string());
                       }};
  };
}

Result<EvaluatedProfile> evaluate_profile(LuaChunk main, std::string const& directory, StartHost const& start) {
  if (!text::is_utf8(main.source)) return fail(Code::InvalidArgument, main.name + ": it is not UTF-8 text");
  EvaluatedProfile result;
  result.sources.push_back({std::move(main.name), as_source(std::move(main.source))});
  std::string const name = result.sources.front().name;
  auto last = Evaluation(TRY(start()), directory, result.sources).run();
  if (!last) return std::unexpected(Error{last.error().code, name + ": " + last.error().message});
  if (auto const* notes = last->if_contains("notes"); notes != nullptr && notes->is_string()) result.notes = std::string(notes->get_string());
  if (auto* document = last->if_contains("done")) {
    result.document = std::move(*document);
    return result;
  }
  auto const* failed = last->if_contains("failed");
  std::string message = failed != nullptr && failed->is_string() ? std::string(failed->get_string()) : "the profile's host gives no answer";
  // Not all that Lua says has a place.
  bool placed = std::any_of(result.sources.begin(), result.sources.end(), [&](LuaChunk const& source) { return message.starts_with(source.name + ":"); });
  if (!placed) message = name + ": " + message;
  if (!result.notes.empty()) message += "\nit had printed:\n" + result.notes;
  return fail(Code::InvalidArgument, "failed to evaluate Lua profile: " + message);
}

std::string written_in_lua(std::vector<LuaChunk> const& sources, std::string_view path) {
  auto names = names_in(path);
  std::string best;
  size_t best_fit = 0;
  for (auto const& source : sources) {
    for (auto const& written : KeyScan(source.source).run()) {
      size_t fit = common_end(written.names, names);
      if (fit <= best_fit) continue;
      best_fit = fit;
      best = source.name + ":" + std::to_string(written.line);
    }
  }
  return best;
}

std::string place_in_lua(std::vector<LuaChunk> const& sources, std::string_view path) {
  if (sources.empty()) return "";
  for (auto shorter = path; !shorter.empty(); shorter = shorter.substr(0, shorter.rfind('.') == std::string_view::npos ? 0 : shorter.rfind('.'))) {
    std::string place = written_in_lua(sources, shorter);
    if (!place.empty()) return place + ": ";
  }
  return sources.front().name + ": ";
}

}  // namespace insomnia::profile
