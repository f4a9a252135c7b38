#!/bin/sh
# Objects in, program out: no assembler runs.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c loop.c main.c && : >"$ENGINE_CALLS" && $CC loop.o main.o -o program && ./program; }

compare 0
asked 0
