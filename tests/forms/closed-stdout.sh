#!/bin/sh
# Standard output closed.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c loop.c >&-; }

compare 0
asked 1
labelled
