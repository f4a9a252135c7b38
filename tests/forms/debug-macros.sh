#!/bin/sh
# -g3 brings every macro along.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -g3 -c main.c; }

compare 0
asked 1
labelled
