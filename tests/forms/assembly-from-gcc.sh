#!/bin/sh
# A .s that gcc once made is still what the user gave.
. "$(dirname "$0")/lib.sh"

form() { gcc -O2 -S loop.c && $CC -O2 -c loop.s -o out.o; }

compare 0
asked 0
