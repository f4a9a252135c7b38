#!/bin/sh
# gcc compiles C++ by suffix and links it by hand.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 loop.cc main.cc -lstdc++ -o program && ./program; }

compare 0
asked 1
labelled
