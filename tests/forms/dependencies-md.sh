#!/bin/sh
# -MD.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -MD -c main.c; }

compare 0
asked 1
labelled
