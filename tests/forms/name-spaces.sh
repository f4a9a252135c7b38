#!/bin/sh
# Blanks in names.
. "$(dirname "$0")/lib.sh"

form() { mkdir 'a b' && cp loop.c 'a b/l o.c' && $CC -O2 -c 'a b/l o.c' -o 'a b/out put.o'; }

compare 0
asked 1
labelled
