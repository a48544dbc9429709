#include "tools/line_search.hh"

#include <re2/re2.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "tools/file_identity.hh"

namespace insomnia::tools {
namespace {

constexpr size_t kBinaryProbe = 8192;
constexpr size_t kMaxLine = 1 << 20;
constexpr size_t kMaxMultiline = 64u << 20;

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

std::unique_ptr<re2::RE2> make_expression(std::string const& pattern, bool ignore_case, bool dot_newline) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_case_sensitive(!ignore_case);
  options.set_dot_nl(dot_newline);
  options.set_never_capture(true);
  options.set_max_mem(32 << 20);
  return std::make_unique<re2::RE2>(pattern, options);
}

/// Whether the pattern may behave differently on a line than on that line among others: it names the ends of the text, or turns
/// the flag off that makes ^ and $ the ends of lines.
bool needs_single_lines(std::string_view pattern) {
  for (auto const* part : {"\\A", "\\z", "\\C", "\\Q"}) {
    if (pattern.find(part) != std::string_view::npos) return true;
  }
  return pattern.find("(?") != std::string_view::npos && pattern.find('-') != std::string_view::npos;
}

std::string_view without_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

size_t line_end(std::string_view text, size_t at) { return std::min(text.find('\n', at), text.size()); }

/// Feeds whole lines to the callback.
class Feeder {
 public:
  Feeder(LinePattern const& pattern, std::function<bool(SearchedLine const&)> const& line) : pattern_(pattern), line_(line) {}

  /// `text` consists of whole lines. False: no more is wanted.
  bool feed(std::string_view text) {
    auto range = pattern_.next(text, 0);
    for (size_t at = 0; at < text.size();) {
      size_t end = line_end(text, at);
      bool matches = range.begin != std::string_view::npos && at >= range.begin && at <= range.end;
      if (!line_({++number_, without_return(text.substr(at, end - at)), matches})) return false;
      at = end + 1;
      if (range.begin != std::string_view::npos && at > range.end && at < text.size()) range = pattern_.next(text, at);
    }
    return true;
  }

 private:
  LinePattern const& pattern_;
  std::function<bool(SearchedLine const&)> const& line_;
  uint64_t number_ = 0;
};

/// Cuts blocks into whole lines.
class LineBlocks {
 public:
  explicit LineBlocks(Feeder& feeder) : feeder_(feeder) {}

  bool add(std::string_view bytes) {
    while (!bytes.empty()) {
      if (skipping_) {
        size_t newline = bytes.find('\n');
        if (newline == std::string_view::npos) return true;
        bytes.remove_prefix(newline + 1);
        skipping_ = false;
        continue;
      }
      size_t last = bytes.rfind('\n');
      if (last != std::string_view::npos) {
        pending_ += bytes.substr(0, last + 1);
        bytes.remove_prefix(last + 1);
        if (!flush()) return false;
        continue;
      }
      pending_ += bytes;
      if (pending_.size() < kMaxLine) return true;
      pending_.resize(kMaxLine);
      skipping_ = true;
      return flush();
    }
    return true;
  }
  bool flush() {
    bool more = pending_.empty() || feeder_.feed(pending_);
    pending_.clear();
    return more;
  }

 private:
  Feeder& feeder_;
  std::string pending_;
  bool skipping_ = false;
};

}  // namespace

LinePattern::LinePattern(LinePattern&&) noexcept = default;
LinePattern::~LinePattern() = default;

Result<LinePattern> LinePattern::compile(std::string_view pattern, bool ignore_case, bool multiline) {
  std::string text(pattern);
  auto plain = make_expression(text, ignore_case, multiline);
  if (!plain->ok()) {
    return fail(Code::InvalidArgument, "invalid regular expression: " + plain->error() + " (RE2 syntax: no look-around, no back-references)");
  }
  LinePattern result;
  if (multiline) {
    result.block_ = make_expression("(?m)" + text, ignore_case, true);
    if (!result.block_->ok()) result.block_ = std::move(plain);
    return result;
  }
  if (!needs_single_lines(pattern)) {
    result.block_ = make_expression("(?m)" + text, ignore_case, false);
    if (!result.block_->ok()) result.block_.reset();
  }
  result.line_ = std::move(plain);
  return result;
}

LinePattern::Range LinePattern::next(std::string_view text, size_t from) const {
  bool by_block = block_ && (!line_ || text.find('\r', from) == std::string_view::npos);
  while (from < text.size()) {
    size_t begin = from;
    size_t end = line_end(text, from);
    if (by_block) {
      re2::StringPiece match;
      if (!block_->Match(piece(text), from, text.size(), re2::RE2::UNANCHORED, &match, 1)) return {};
      auto at = static_cast<size_t>(match.data() - text.data());
      if (at >= text.size()) return {};  // the empty place after the last newline is no line
      size_t newline = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
      begin = newline == std::string_view::npos ? 0 : newline + 1;
      size_t last = match.empty() ? at : at + match.size() - 1;
      end = line_end(text, last);
      if (!line_) return {begin, end};
      end = line_end(text, begin);
    }
    std::string_view line = without_return(text.substr(begin, end - begin));
    if (line_->Match(piece(line), 0, line.size(), re2::RE2::UNANCHORED, nullptr, 0)) return {begin, end};
    from = end + 1;
  }
  return {};
}

Result<SearchEnd> search_lines(int fd, std::string const& what, LinePattern const& pattern, LinePattern const* line_pattern,
                               CallControl const& control, std::function<bool(SearchedLine const&)> const& line) {
  SearchEnd end;
  Feeder feeder(pattern, line);
  std::optional<Feeder> single;
  if (line_pattern != nullptr) single.emplace(*line_pattern, line);
  LineBlocks blocks(line_pattern != nullptr ? *single : feeder);
  std::string whole;
  bool first = true;
  bool wanted = true;
  TRY(read_blocks(fd, what, control, [&](std::string_view bytes) {
    if (std::exchange(first, false) && bytes.substr(0, kBinaryProbe).find('\0') != std::string_view::npos) {
      end.binary = true;
      wanted = false;
      return false;
    }
    size_t nul = bytes.find('\0');
    bool last = nul != std::string_view::npos;
    bytes = bytes.substr(0, nul);
    if (line_pattern == nullptr || end.line_by_line) {
      wanted = blocks.add(bytes);
    } else {
      whole += bytes;
      if (whole.size() > kMaxMultiline) {
        end.line_by_line = true;
        wanted = blocks.add(whole);
        std::string().swap(whole);
      }
    }
    return wanted && !last;
  }));
  if (!wanted) return end;
  if (line_pattern != nullptr && !end.line_by_line) {
    feeder.feed(whole);
  } else {
    blocks.flush();
  }
  return end;
}

}  // namespace insomnia::tools
