#!/bin/sh
# -pipe: the text comes on standard input.
. "$(dirname "$0")/lib.sh"

form() { $CC -pipe -O2 -c loop.c -o out.o; }

compare 0
asked 1
labelled
