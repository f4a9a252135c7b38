#!/bin/sh
# -o /dev/null, as feature tests do.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c loop.c -o /dev/null && test -c /dev/null; }

compare 0
asked 1
