#!/bin/sh
# -fsanitize=address,undefined.
. "$(dirname "$0")/lib.sh"

form() { $CC -O1 -g -fsanitize=address,undefined -c loop.c; }

compare 0
