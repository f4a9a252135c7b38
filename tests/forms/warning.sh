#!/bin/sh
# Warnings come once and unchanged.
. "$(dirname "$0")/lib.sh"

form() { echo 'int g(int n, int m) { int s, i; for (i = 0; i < n; i++) s += i; return s; }' >w.c && $CC -O2 -Wall -Wextra -c w.c; }

compare 0
asked 1
labelled
