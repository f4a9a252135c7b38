#!/bin/sh
# -m32: another machine's code.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -m32 -c loop.c; }

compare 0
