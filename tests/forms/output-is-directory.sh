#!/bin/sh
# The object's name is taken by a directory.
. "$(dirname "$0")/lib.sh"

form() { mkdir out.o && $CC -O2 -c loop.c -o out.o; }

compare 1
asked 1
