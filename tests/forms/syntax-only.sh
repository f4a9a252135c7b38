#!/bin/sh
# -fsyntax-only, with a warning.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -fsyntax-only -Wall -Wunused-parameter -Wextra plain.c main.c -Dtwice='f(int y) { return y; } int twice'; }

compare 0
asked 0
