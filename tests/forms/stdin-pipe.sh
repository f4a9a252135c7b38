#!/bin/sh
# Source and assembly both through pipes.
. "$(dirname "$0")/lib.sh"

form() { cat loop.c | $CC -pipe -O2 -x c -c - -o out.o; }

compare 0
asked 1
labelled
