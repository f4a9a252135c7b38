#!/bin/sh
# -fno-ident hides where the text comes from; it is left alone.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -fno-ident -c loop.c; }

compare 0
asked 0
