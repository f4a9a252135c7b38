#!/bin/sh
# -fdiagnostics-color=always keeps its escapes.
. "$(dirname "$0")/lib.sh"

form() { echo 'int g(int n, int m) { int i; for (i = 0; i < n; i++) n += i; return n; }' >w.c && $CC -O2 -Wextra -fdiagnostics-color=always -c w.c; }

compare 0
asked 1
labelled
