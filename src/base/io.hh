#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hh"
#include "base/unique_fd.hh"

/// Blocking file operations for our own files. Every error names the path. Every descriptor is close-on-exec.
namespace insomnia::io {

/// The whole file; refuses what is not a regular file or is larger than `limit` bytes.
Result<std::string> read_file(std::string const& path, size_t limit = 64 << 20);

/// Replaces the file by tmp + fsync + rename + fsync of the directory. The tmp name is unique per call.
Result<void> write_file_atomic(std::string const& path, std::string_view content, unsigned mode = 0600);

/// The same without any fsync: for files that need not survive a power failure.
Result<void> replace_file(std::string const& path, std::string_view content, unsigned mode = 0600);

/// mkdir -p; directories that it makes get `mode`.
Result<void> make_directories(std::string const& path, unsigned mode = 0700);

/// Writes all of `bytes`, over short writes and EINTR. For blocking descriptors.
Result<void> write_all(int fd, std::string_view bytes, std::string_view what);

/// Reads until the end of the file.
Result<std::string> read_all(int fd, std::string_view what, size_t limit = 64 << 20);

Result<void> sync_directory(std::string const& path);

/// Removes a directory tree that is ours; symbolic links are removed, not followed. Missing is fine.
Result<void> remove_tree(std::string const& path);

/// Names in a directory, sorted, without "." and "..". A missing directory is empty.
Result<std::vector<std::string>> list_directory(std::string const& path);

bool exists(std::string const& path);

/// The canonical form of an existing path.
Result<std::string> real_path(std::string const& path);

/// The current directory, canonical.
Result<std::string> current_directory();

/// `path` if absolute, else joined to `base`; "." and empty components are dropped, ".." is kept.
std::string absolute(std::string_view path, std::string_view base);

/// "/a/b" of "/a/b/c", "/" of "/a".
std::string parent_path(std::string_view path);
std::string_view base_name(std::string_view path);

/// An anonymous file with `content` that nobody can change any more (sealed memfd), positioned at its start.
/// It is close-on-exec like every descriptor; dup2 in the child clears that.
Result<UniqueFd> sealed_memory_file(std::string_view name, std::string_view content);

}  // namespace insomnia::io
