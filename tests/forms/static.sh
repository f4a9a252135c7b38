#!/bin/sh
# -static.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -static loop.c main.c -o program && ./program; }

compare 0
asked 2
labelled
