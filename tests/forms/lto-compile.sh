#!/bin/sh
# -flto -c leaves no machine code to look at.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -flto -frandom-seed=1 -c loop.c; }

compare 0
asked 0
