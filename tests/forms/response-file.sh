#!/bin/sh
# @file with everything in it.
. "$(dirname "$0")/lib.sh"

form() { printf '%s\n' -O2 -c loop.c '-DX="a b"' -o "'out put.o'" >args && $CC @args; }

compare 0
asked 1
labelled
