#!/bin/sh
# a.out.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 loop.c main.c && ./a.out; }

compare 0
asked 2
labelled
