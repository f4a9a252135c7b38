#!/bin/sh
# -S: gcc's text for the user, not ours.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -S loop.c && $CC -O2 -S main.c -o -; }

compare 0
asked 0
