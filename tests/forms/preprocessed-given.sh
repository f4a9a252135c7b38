#!/bin/sh
# A .i from the user.
. "$(dirname "$0")/lib.sh"

form() { gcc -E loop.c -o loop.i && $CC -O2 -c loop.i; }

compare 0
asked 1
labelled
