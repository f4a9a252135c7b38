#!/bin/sh
# -pipe with several sources and a link.
. "$(dirname "$0")/lib.sh"

form() { $CC -pipe -O2 loop.c main.c -o program && ./program; }

compare 0
asked 2
labelled
