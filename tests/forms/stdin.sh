#!/bin/sh
# -x c -: the source on standard input.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -x c -c - -o out.o <loop.c; }

compare 0
asked 1
labelled
