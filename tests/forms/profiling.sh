#!/bin/sh
# -pg.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -pg loop.c main.c -o program && ./program && rm gmon.out; }

compare 0
