#!/bin/sh
# -Wa,-a: a listing of gcc's own text.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -Wa,-adhln=list.txt -c loop.c -o out.o; }

compare 0
asked 0
