#!/bin/sh
# TMPDIR with blanks in it.
. "$(dirname "$0")/lib.sh"

form() { mkdir 't m p' && TMPDIR="$PWD/t m p" $CC -O2 -c loop.c && ls 't m p'; }

compare 0
asked 1
labelled
