#!/bin/sh
# -save-temps=cwd with an object elsewhere.
. "$(dirname "$0")/lib.sh"

form() { mkdir sub && $CC -O2 -save-temps=cwd -c loop.c -o sub/x.o; }

compare 0
asked 1
labelled
