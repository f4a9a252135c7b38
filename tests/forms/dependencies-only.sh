#!/bin/sh
# -M and -MM: no code at all.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -M main.c && $CC -O2 -MM main.c loop.c; }

compare 0
asked 0
