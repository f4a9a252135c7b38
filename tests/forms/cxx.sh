#!/bin/sh
# g++: templates, exceptions, several sources.
. "$(dirname "$0")/lib.sh"

form() { $CXX -O2 -c loop.cc main.cc && $CXX loop.o main.o -o program && ./program; }

compare 0
asked 1
labelled
