#!/bin/sh
# One command from sources to a program that runs.
. "$(dirname "$0")/lib.sh"

form() { $CC -O2 loop.c main.c -o program && ./program; }

compare 0
asked 2
labelled
