#!/bin/sh
# Debug levels are not looked at.
. "$(dirname "$0")/lib.sh"

form() { for o in -O0 -Og -Os -Oz '-O3 -O0' -O; do $CC $o -c loop.c -o "x$o.o"; done; $CC -c loop.c; }

compare 0
asked 1
