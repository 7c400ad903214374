// sluicectl: the command line of Sluice.
#include <iostream>

#include "client/commands.h"

int main(int argc, char** argv) { return sluice::RunCommandLine(argc, argv, std::cout, std::cerr); }
