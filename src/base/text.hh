#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <vector>

/// Small text functions; all byte-wise unless they say UTF-8.
namespace insomnia::text {

std::string_view trim(std::string_view text);
/// The parts point into `text`.
std::vector<std::string_view> split(std::string_view text, char separator);
template <std::same_as<std::string> Temporary>
std::vector<std::string_view> split(Temporary&& text, char separator) = delete;  // the parts would outlive it
std::string join(std::vector<std::string> const& parts, std::string_view separator);
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

/// Whether all of `bytes` is well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view bytes);
/// `bytes` with every malformed sequence replaced by U+FFFD.
std::string to_utf8(std::string_view bytes);
/// The longest prefix of `text` of at most `limit` bytes that does not cut a UTF-8 character.
std::string_view prefix(std::string_view text, size_t limit);
/// The longest suffix of `text` of at most `limit` bytes that does not cut a UTF-8 character.
std::string_view suffix(std::string_view text, size_t limit);
/// `text` on one line and at most `limit` characters, "…" at the end when it was cut; control characters are blanked.
std::string one_line(std::string_view text, size_t limit);
/// Number of Unicode characters in well-formed UTF-8.
size_t length(std::string_view text);
/// `text` with control characters (but \n and \t) and escape sequences made visible or removed: safe for a terminal.
std::string for_terminal(std::string_view text);

}  // namespace insomnia::text
