#pragma once

#include <string>
#include <string_view>

#include "scope/rule.hh"

/// Places whose content is run or obeyed by programs outside of a Pod: hooks and configuration of git, and the directories from which
/// agents and editors of a project take their settings. A write rule on a directory above does not open them; a rule on the place itself, or
/// on something in it, does: a person's decision, which is handed down like any other right. Lexical, pure, on canonical absolute paths.
namespace insomnia::scope {

/// The innermost such place that `path` is or lies in, as a prefix of `path`; empty when there is none. Names: `.insomnia`, `.claude`,
/// `.codex`, `.vscode`, `.git/hooks`, `.git/config`, `.git/config.worktree`; `config.worktree` of a working tree below `.git/worktrees`;
/// `hooks`, `config` and `config.worktree` of a submodule below `.git/modules`; and the file `.git` of working trees and submodules,
/// which says where all that is (a rule on the directory `.git` is one on this).
std::string_view protected_place(std::string_view path);

/// For errors: what it is and who opens it.
std::string describe_protection(std::string_view place);

/// Whether a write rule that covers `path` opens it for writing as far as protected places go.
bool opens(ScopeRule const& rule, std::string_view path);

}  // namespace insomnia::scope
