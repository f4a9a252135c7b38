#!/bin/sh
# -o /dev/stdout.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -S loop.c -o /dev/stdout | head -3; }

compare 0
asked 0
