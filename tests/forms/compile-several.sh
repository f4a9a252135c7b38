#!/bin/sh
# Several sources, several objects, one command.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 -c loop.c main.c plain.c; }

compare 0
asked 2
labelled
