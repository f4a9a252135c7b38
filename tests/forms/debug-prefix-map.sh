#!/bin/sh
# -ffile-prefix-map.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -g -ffile-prefix-map=$PWD=. -c main.c; }

compare 0
asked 1
labelled
