#!/bin/sh
# Names that begin with a dash.
. "$(dirname "$0")/lib.sh"

form() { cp loop.c ./-O2.c && $CC -O2 -c ./-O2.c -o -O2 && mv ./-O2 minus; }

compare 0
asked 1
labelled
