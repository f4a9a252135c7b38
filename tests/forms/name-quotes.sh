#!/bin/sh
# Quotes, dollars, backslashes and a newline in names.
. "$(dirname "$0")/lib.sh"

form() { n=$(printf 'q\047"$x\\y\nz') && cp loop.c "$n.c" && $CC -O2 -c "$n.c" -DX="it's"; }

compare 0
asked 1
labelled
