#!/bin/sh
# -x c++ on a .c file, -x none after it.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -x c++ -c loop.c -x none main.c; }

compare 0
asked 2
labelled
