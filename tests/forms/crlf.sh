#!/bin/sh
# A source with carriage returns.
. "$(dirname "$0")/lib.sh"

form() { sed -i 's/$/\r/' main.c && $CC -O2 -g -c main.c; }

compare 0
asked 1
labelled
