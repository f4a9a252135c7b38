#!/bin/sh
# -r: a partial link.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c loop.c main.c && $CC -r loop.o main.o -o both.o && $CC both.o -o program && ./program; }

compare 0
asked 2
labelled
