#!/bin/sh
# -fdiagnostics-format=json.
. "$(dirname "$0")/lib.sh"

form() { echo 'int g(int n, int m) { int i; for (i = 0; i < n; i++) m += i; return m + q; }' >w.c && $CC -O2 -Wall -fdiagnostics-format=json -c w.c; }

compare 1
asked 0
