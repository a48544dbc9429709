#pragma once

namespace insomnia::cli {

/// The program: chooses what to run by its first word. Returns the exit code.
int main(int argc, char** argv);

}  // namespace insomnia::cli
