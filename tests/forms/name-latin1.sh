#!/bin/sh
# Names that are not UTF-8.
. "$(dirname "$0")/lib.sh"

form() { n=$(printf 'gr\366\337e') && cp loop.c "$n.c" && $CC -O2 -g -c "$n.c"; }

compare 0
asked 1
labelled
