#!/bin/sh
# C and assembly in one command.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 loop.c main.c hand.s -o program && ./program; }

compare 0
