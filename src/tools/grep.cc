#include "tools/grep.hh"

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <utility>

#include "base/io.hh"
#include "base/text.hh"
#include "tools/file_types.hh"
#include "tools/input.hh"
#include "tools/line_search.hh"
#include "tools/tree_walk.hh"

namespace insomnia::tools {
namespace {

constexpr size_t kMaxContent = 1 << 20;
constexpr size_t kMaxShownLine = 1000;
constexpr uint64_t kMaxContext = 100;

GrepMode parse_mode(json::Reader& reader) {
  std::string mode = reader.string_or("output_mode", "files_with_matches");
  if (mode == "content") return GrepMode::Content;
  if (mode == "count") return GrepMode::Count;
  if (mode != "files_with_matches") reader.reject("output_mode", "must be files_with_matches, content or count");
  return GrepMode::Files;
}

/// Collects what is to be shown and knows when that is enough.
class Results {
 public:
  explicit Results(GrepInput const& input)
      : input_(input), limit_(input.head_limit == 0 ? std::numeric_limits<uint64_t>::max() : input.head_limit) {}

  /// One more result, a file or a matching line. Nothing: it is skipped; false: it is one too many and the search ends.
  std::optional<bool> next() {
    if (skipped_ < input_.offset) {
      ++skipped_;
      return std::nullopt;
    }
    if (shown_ >= limit_ || content_.size() >= kMaxContent) {
      truncated_ = true;
      return false;
    }
    ++shown_;
    return true;
  }
  void add(std::string const& line) { content_ += line + "\n"; }
  void add_file() { ++files_; }
  void add_lines(uint64_t count) { lines_ += count; }
  void add_unreadable() { ++unreadable_; }
  void add_note(std::string const& note) { notes_ += "; " + note; }

  bool truncated() const { return truncated_; }

  Output output() const {
    std::string summary;
    if (shown_ == 0) {
      summary = input_.mode == GrepMode::Content ? "No matches" : "No files matched";
      if (skipped_ > 0) summary += " after the first " + std::to_string(skipped_);
    } else if (input_.mode == GrepMode::Content) {
      summary = std::to_string(shown_) + " matching line(s) in " + std::to_string(files_) + " file(s)";
    } else {
      summary = "Found matches in " + std::to_string(shown_) + " file(s)";
      if (input_.mode == GrepMode::Count) summary += ", " + std::to_string(lines_) + " total line(s)";
    }
    if (truncated_) summary += " (truncated at " + std::to_string(shown_) + ")";
    if (unreadable_ > 0) summary += "; " + std::to_string(unreadable_) + " file(s) could not be read";
    summary += notes_;
    return {summary, shown_ == 0 ? std::nullopt : std::optional(content_)};
  }

 private:
  GrepInput const& input_;
  uint64_t limit_;
  uint64_t skipped_ = 0;
  uint64_t shown_ = 0;
  uint64_t files_ = 0;
  uint64_t lines_ = 0;
  uint64_t unreadable_ = 0;
  bool truncated_ = false;
  std::string notes_;
  std::string content_;
};

/// Shows the matching lines of one file with their context.
class ContentLines {
 public:
  ContentLines(GrepInput const& input, Results& results, std::string path) : input_(input), results_(results), path_(std::move(path)) {}

  bool take(SearchedLine const& line) {
    auto shown = line.matches ? results_.next() : std::nullopt;
    if (shown == false) return false;
    if (shown == true) {
      if (!std::exchange(counted_, true)) results_.add_file();
      for (auto& before : before_) results_.add(before);
      before_.clear();
      results_.add(format(line, ':'));
      after_ = input_.after;
    } else if (after_ > 0) {
      --after_;
      results_.add(format(line, '-'));
    } else if (input_.before > 0) {
      before_.push_back(format(line, '-'));
      if (before_.size() > input_.before) before_.pop_front();
    }
    return true;
  }

 private:
  std::string format(SearchedLine const& line, char mark) const {
    std::string result = path_ + mark;
    if (input_.line_numbers) result += std::to_string(line.number) + mark;
    std::string_view shown = line.text;
    if (shown.size() <= kMaxShownLine) return result + text::to_utf8(shown);
    shown = text::prefix(shown, kMaxShownLine);
    return result + text::to_utf8(shown) + "… [" + std::to_string(line.text.size() - shown.size()) + " bytes more]";
  }

  GrepInput const& input_;
  Results& results_;
  std::string path_;
  std::deque<std::string> before_;
  uint64_t after_ = 0;
  bool counted_ = false;
};

/// One search over any number of files.
class Search {
 public:
  Search(Call& call, GrepInput const& input, LinePattern pattern, std::optional<LinePattern> single)
      : call_(call), input_(input), results_(input), pattern_(std::move(pattern)), single_(std::move(single)) {}

  /// False: enough. `named`: the model asked for this very file.
  Result<bool> file(std::string const& path, bool named) {
    auto fd = open_regular({path, path});
    if (!fd) {
      if (named) return std::unexpected(fd.error());
      results_.add_unreadable();
      return true;
    }
    uint64_t matches = 0;
    ContentLines content(input_, results_, path);
    auto end = search_lines(fd->get(), path, pattern_, single_ ? &*single_ : nullptr, call_.control, [&](SearchedLine const& line) {
      if (input_.mode == GrepMode::Content) return content.take(line);
      if (line.matches) ++matches;
      return matches == 0 || input_.mode == GrepMode::Count;
    });
    if (!end) {
      if (named || end.error().code == Code::Cancelled) return std::unexpected(end.error());
      results_.add_unreadable();
      return true;
    }
    if (end->binary && named) results_.add_note(path + " is a binary file");
    if (end->line_by_line) results_.add_note(path + " is larger than 64 MiB and was searched line by line");
    if (matches > 0 && !take_file(path, matches)) return false;
    return !results_.truncated();
  }

  Results& results() { return results_; }

 private:
  bool take_file(std::string const& path, uint64_t matches) {
    auto shown = results_.next();
    if (shown == true) {
      results_.add_lines(matches);
      results_.add(input_.mode == GrepMode::Count ? path + ":" + std::to_string(matches) : path);
    }
    return shown != false;
  }

  Call& call_;
  GrepInput const& input_;
  Results results_;
  LinePattern pattern_;
  std::optional<LinePattern> single_;  ///< for files that are too large for a multiline search
};

/// Which files `glob` and `type` leave.
class FileFilter {
 public:
  static Result<FileFilter> create(GrepInput const& input) {
    FileFilter filter;
    filter.type_ = input.type;
    if (!input.type.empty() && !is_file_type(input.type)) {
      return fail(Code::InvalidArgument, "unknown file type: " + input.type + "; known are " + file_type_names());
    }
    if (input.glob.empty()) return filter;
    std::string_view bare = input.glob;
    if (bare.starts_with('!')) bare.remove_prefix(1);
    TRY(PathPattern::compile(bare, PatternSyntax::Glob));
    filter.glob_ = IgnoreRule::parse(input.glob, PatternSyntax::Glob);
    filter.hidden_ = bare.starts_with('.') || bare.find("/.") != std::string_view::npos;
    return filter;
  }

  bool excludes(std::string_view relative, bool directory) const {
    if (!directory && !type_.empty() && !has_file_type(io::base_name(relative), type_)) return true;
    if (!glob_) return false;
    if (glob_->negated()) return glob_->matches(relative, directory);
    return !directory && !glob_->matches(relative, false);
  }
  /// The glob speaks of hidden names itself.
  bool hidden() const { return hidden_; }

 private:
  std::string type_;
  std::optional<IgnoreRule> glob_;
  bool hidden_ = false;
};

Result<void> search_directory(Call& call, GrepInput const& input, std::string const& directory, Search& search) {
  FileFilter filter = TRY(FileFilter::create(input));
  WalkOptions options;
  options.hidden = filter.hidden();
  options.skip = [&](std::string_view relative, bool is_directory) { return filter.excludes(relative, is_directory); };
  TreeWalk walk(call, directory, options);
  Result<bool> more = true;
  TRY(walk.run([&](WalkEntry const& entry) {
    more = search.file(entry.path, false);
    return more && *more;
  }));
  if (!more) return std::unexpected(more.error());
  if (!walk.stopped().empty()) search.results().add_note(walk.stopped());
  return {};
}

}  // namespace

Result<GrepInput> parse_grep_input(std::string_view json) {
  return parse_input<GrepInput>("Grep", json, [](json::Reader& reader, GrepInput& input) {
    input.pattern = reader.string("pattern");
    input.path = reader.string_or("path", "");
    input.glob = reader.string_or("glob", "");
    input.type = reader.string_or("type", "");
    input.mode = parse_mode(reader);
    input.line_numbers = reader.boolean_or("-n", true);
    input.ignore_case = reader.boolean_or("-i", false);
    auto around = reader.optional_uint("-C");
    input.after = std::min(around.value_or(reader.uint_or("-A", 0)), kMaxContext);
    input.before = std::min(around.value_or(reader.uint_or("-B", 0)), kMaxContext);
    input.multiline = reader.boolean_or("multiline", false);
    input.head_limit = reader.uint_or("head_limit", input.head_limit);
    input.offset = reader.uint_or("offset", 0);
    if (reader.ok() && input.pattern.empty()) reader.reject("pattern", "must not be empty");
    if (input.pattern.size() > 65536) reader.reject("pattern", "must not be longer than 64 KiB");
  });
}

Result<Output> run_grep(Call& call, GrepInput const& input) {
  LinePattern pattern = TRY(LinePattern::compile(input.pattern, input.ignore_case, input.multiline));
  std::optional<LinePattern> single;
  if (input.multiline) single.emplace(TRY(LinePattern::compile(input.pattern, input.ignore_case, false)));
  Target base = TRY(locate_base(call, "Grep", input.path));
  struct stat info{};
  if (::lstat(base.resolved.c_str(), &info) != 0) return fail_errno("look at " + base.given, errno);
  Search search(call, input, std::move(pattern), std::move(single));
  if (S_ISDIR(info.st_mode)) {
    TRY(search_directory(call, input, base.resolved, search));
  } else {
    TRY(search.file(base.resolved, true));
  }
  return search.results().output();
}

}  // namespace insomnia::tools
