#!/bin/sh
# -B without an assembler changes nothing for us.
. "$(dirname "$0")/lib.sh"

form() { mkdir b && $CC -O2 -Bb -B b -c loop.c; }

compare 0
asked 1
labelled
