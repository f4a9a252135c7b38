#!/bin/sh
# -gz goes on to the assembler.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -g -gz -c main.c -o out.o; }

compare 0
asked 1
labelled
