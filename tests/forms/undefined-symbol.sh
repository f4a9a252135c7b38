#!/bin/sh
# A link that fails.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 main.c -o program; }

compare 1
asked 1
