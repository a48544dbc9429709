#include "manifest/shell_words.hh"

#include <gtest/gtest.h>

#include "base/text.hh"

namespace insomnia::manifest {
namespace {

/// "a b|c d": the commands, their words joined, what is unknown as $; those behind others with `<` and these. "?": not understood.
std::string commands(std::string_view text) {
  auto found = simple_commands(text);
  if (!found) return "?";
  std::string result;
  for (auto const& command : *found) {
    result += (result.empty() ? "" : "|") + text::join(command.words, " ");
    for (auto const& wrapper : command.wrappers) result += "<" + text::join(wrapper, " ");
  }
  return text::replace_all(result, std::string(1, kUnknown), "$");
}

TEST(ShellWords, OneCommandIsItsWords) {
  EXPECT_EQ(commands("git push origin main"), "git push origin main");
  EXPECT_EQ(commands("  ls\t-l  "), "ls -l");
  EXPECT_EQ(commands(""), "");
  EXPECT_EQ(commands("# rm x"), "");
  EXPECT_EQ(commands("ls # rm x"), "ls");
  EXPECT_EQ(commands("echo a#b"), "echo a#b");
}

TEST(ShellWords, QuotesAndEscapesMeanWhatTheyMean) {
  EXPECT_EQ(commands("r'm' -rf \"/tmp/a b\""), "rm -rf /tmp/a b");
  EXPECT_EQ(commands("\\rm x"), "rm x");
  EXPECT_EQ(commands("r\\\nm x"), "rm x");
  EXPECT_EQ(commands("echo 'a;b|c' \"d && e\" f\\;g"), "echo a;b|c d && e f;g");
  EXPECT_EQ(commands("echo \"a\\\"b\\$c\\d\""), "echo a\"b$c\\d");
  EXPECT_EQ(commands("echo '' x"), "echo  x");
}

TEST(ShellWords, ListsPipelinesAndGroups) {
  EXPECT_EQ(commands("a && b || c; d & e | f |& g\nh"), "a|b|c|d|e|f|g|h");
  EXPECT_EQ(commands("(a; b) && { c; d; }"), "a|b|c|d");
  EXPECT_EQ(commands("! a; time -p b; time c"), "a|b|c");
  EXPECT_EQ(commands("if a; then b; elif c; then d; else e; fi; f"), "a|b|c|d|e|f");
  EXPECT_EQ(commands("while a; do b; done < in > out; until c; do d; done"), "a|b|c|d");
  EXPECT_EQ(commands("for x in *.c \"$(ls)\"; do rm $x; done"), "ls|rm $");
  EXPECT_EQ(commands("for x; do a; done"), "a");
  EXPECT_EQ(commands("[ -f x ] && [[ -n \"$y\" && $z == *.c ]] && rm x"), "[ -f x ]|rm x");
}

TEST(ShellWords, AssignmentsAndRedirectionsAreNoWords) {
  EXPECT_EQ(commands("A=1 B+=\"x y\" make all"), "make all");
  EXPECT_EQ(commands("A=1"), "");
  EXPECT_EQ(commands("A=$(rm x)"), "rm x");
  EXPECT_EQ(commands("env A=1"), "env A=1");
  EXPECT_EQ(commands("make A=1"), "make A=1");
  EXPECT_EQ(commands("a >x 2>&1 <in >>y 2>/dev/null b &>z &>>z <<<word 3<>w >|v"), "a b");
  EXPECT_EQ(commands("2x"), "2x");
}

TEST(ShellWords, HereDocumentsAreNotCommands) {
  EXPECT_EQ(commands("cat <<EOF > x\nrm a\nEOF\nls"), "cat|ls");
  EXPECT_EQ(commands("cat <<-'E O'\n\t$(rm a)\n\tE O\nls"), "cat|ls");
  EXPECT_EQ(commands("a <<X; b <<Y\n1\nX\n2\nY\nc"), "a|b|c");
  EXPECT_EQ(commands("cat <<EOF\n$(rm a)\nEOF"), "?");
  EXPECT_EQ(commands("cat <<EOF\n`rm a`\nEOF"), "?");
  EXPECT_EQ(commands("cat <<EOF\nx"), "?");
  EXPECT_EQ(commands("cat <<EOF"), "?");
}

TEST(ShellWords, WhatOnlyTheShellKnowsIsMarked) {
  EXPECT_EQ(commands("rm $x ${y} \"$z\" a*b ? [ab] ~/c ~user/d {e,f} $'\\x41' $1 $@ $?"), "rm $ $ $ a$b $ $ab] $/c $/d $ $ $ $ $");
  EXPECT_EQ(commands("find . -exec rm {} \\;"), "rm $<find . -exec rm {} ;|find . -exec rm {} ;");
  EXPECT_EQ(commands("echo $ \"$\" a$"), "echo $ $ a$") << "a dollar alone is one";
  EXPECT_EQ(commands("echo '$x'"), "echo $x");
}

TEST(ShellWords, SubstitutionsRunCommands) {
  EXPECT_EQ(commands("echo $(rm a; ls $(pwd))"), "rm a|pwd|ls $|echo $");
  EXPECT_EQ(commands("echo \"x $(rm a) y\""), "rm a|echo x $ y");
  EXPECT_EQ(commands("echo `rm a \\`pwd\\``"), "pwd|rm a $|echo $");
  EXPECT_EQ(commands("diff <(sort a) >(tee b)"), "sort a|tee b|diff $ $");
  EXPECT_EQ(commands("a > $(rm b)"), "rm b|a");
}

TEST(ShellWords, CommandsBehindCommands) {
  EXPECT_EQ(commands("env -i A=1 -u B rm x"), "rm x<env -i A=1 -u B rm x");
  EXPECT_EQ(commands("sudo -u root -- rm x"), "rm x<sudo -u root -- rm x");
  EXPECT_EQ(commands("nohup nice -n 5 timeout -k 1 10 rm x"), "rm x<nohup nice -n 5 timeout -k 1 10 rm x<nice -n 5 timeout -k 1 10 rm x<timeout -k 1 10 rm x");
  EXPECT_EQ(commands("ls | xargs -0 -n1 -I{} rm {}"), "ls|rm {} $<xargs -0 -n1 -I{} rm {}");
  EXPECT_EQ(commands("/usr/bin/env rm x"), "rm x</usr/bin/env rm x");
  EXPECT_EQ(commands("command rm x; builtin cd y; exec -a n rm z"), "rm x<command rm x|cd y<builtin cd y|rm z<exec -a n rm z");
  EXPECT_EQ(commands("command -v rm; env; xargs; sudo -v 2>/dev/null; exec >log"), "?") << "an option that is not known here";
  EXPECT_EQ(commands("command -v rm; env; xargs; exec >log"), "command -v rm|env|xargs|exec");
  EXPECT_EQ(commands("bash -lc 'rm x; ls'"), "rm x<bash -lc rm x; ls|ls<bash -lc rm x; ls");
  EXPECT_EQ(commands("bash -o pipefail -c 'rm x'"), "rm x<bash -o pipefail -c rm x");
  EXPECT_EQ(commands("bash script.sh -c x"), "bash script.sh -c x");
  EXPECT_EQ(commands("eval rm 'a b'"), "rm a b<eval rm a b");
  EXPECT_EQ(commands("eval \"$(rm x)\""), "?");
  EXPECT_EQ(commands("sh -c \"$x\""), "?");
  EXPECT_EQ(commands("find . -name '*.o' -exec rm {} + -execdir ls \\;"),
            "rm $<find . -name *.o -exec rm {} + -execdir ls ;|ls<find . -name *.o -exec rm {} + -execdir ls ;|find . -name *.o -exec rm {} + -execdir ls ;");
}

TEST(ShellWords, WhatIsNotUnderstoodIsNotGuessed) {
  for (auto const* text : {"echo 'a",
                           "echo \"a",
                           "echo `a",
                           "echo $(a",
                           "echo ${a",
                           "(a",
                           "a)",
                           "f() { rm x; }",
                           "function f { rm x; }",
                           "case x in x) rm y;; esac",
                           "$cmd x",
                           "\"$cmd\" x",
                           "*/rm x",
                           "~/bin/x",
                           "((i++))",
                           "echo $((1 + $(rm x)))",
                           "echo ${x:-$(rm x)}",
                           "a=(1 2)",
                           "for ((;;)); do rm x; done",
                           "select x in a; do b; done",
                           "coproc a",
                           "env -S 'rm x'",
                           "sudo --frobnicate rm x",
                           "env $x rm y",
                           "a\\",
                           "[[ x",
                           "a >",
                           "a <<",
                           "echo {a,$(rm x)}",
                           "find . -exec",
                           "find . -exec ;"}) {
    EXPECT_EQ(commands(text), "?") << text;
  }
  EXPECT_EQ(commands(std::string_view("a\0b", 3)), "?");
  EXPECT_EQ(commands("a\x01"), "?");
  EXPECT_EQ(commands(std::string(100, '(') + "a" + std::string(100, ')')), "?");
  std::string deep = "a";
  for (int i = 0; i < 50; ++i) deep = "echo $(" + deep + ")";
  EXPECT_EQ(commands(deep), "?");
  EXPECT_EQ(commands(std::string(100'000, 'a')), "?");
}

}  // namespace
}  // namespace insomnia::manifest
