#!/bin/sh
# Two compilers at once in one directory.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c loop.c & $CC -O2 -c main.c && wait $!; }

compare 0
asked 2
labelled
