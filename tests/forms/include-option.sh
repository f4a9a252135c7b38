#!/bin/sh
# -include and -imacros.
. "$(dirname "$0")/lib.sh"

form() { echo '#define EXTRA 1' >x.h && $CC -O2 -include ./x.h -imacros x.h -c loop.c; }

compare 0
asked 1
labelled
