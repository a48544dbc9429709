#include "cli/main.hh"

int main(int argc, char** argv) { return insomnia::cli::main(argc, argv); }
