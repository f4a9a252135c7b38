#!/bin/sh
# -c -o: one source, one named object.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c loop.c -o out.o; }

compare 0
asked 1
labelled
