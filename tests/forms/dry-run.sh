#!/bin/sh
# -### prints commands and runs none.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -### -c loop.c && $CC -### loop.c main.c; }

compare 0
asked 0
