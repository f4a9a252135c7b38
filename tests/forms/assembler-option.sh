#!/bin/sh
# -Wa, with options.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -Wa,--noexecstack,-mrelax-relocations=no -c loop.c; }

compare 0
asked 1
labelled
