#!/bin/sh
# -E.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -E main.c -o main.i && $CC -E -dM - </dev/null; }

compare 0
asked 0
