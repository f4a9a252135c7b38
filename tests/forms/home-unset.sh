#!/bin/sh
# No HOME.
. "$(dirname "$0")/lib.sh"

form() { unset HOME XDG_CACHE_HOME && $CC -O2 -c loop.c; }

compare 0
asked 1
labelled
