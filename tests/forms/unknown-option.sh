#!/bin/sh
# An option gcc does not know.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -fno-such-thing -c loop.c; }

compare 1
asked 0
