#!/bin/sh
# All three closed.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c loop.c <&- >&- 2>&-; }

compare 0
asked 1
labelled
