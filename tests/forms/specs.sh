#!/bin/sh
# -specs= with a file of the user's.
. "$(dirname "$0")/lib.sh"

form() { echo '*cc1_options: + -fno-tree-vectorize' >s && $CC -O2 -specs=s -c loop.c && $CC -O3 -specs=./s -c main.c; }

compare 0
asked 2
labelled
