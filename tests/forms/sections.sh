#!/bin/sh
# -ffunction-sections and --gc-sections.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -ffunction-sections -fdata-sections loop.c main.c -Wl,--gc-sections -o program && ./program; }

compare 0
asked 2
labelled
